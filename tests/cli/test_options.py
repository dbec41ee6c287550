"""Options made from the configuration: which there are, what they say, and who wins."""

import click
import pytest
from click.testing import CliRunner

from ensemble.cli.options import (
    PLACEHOLDERS,
    SectionedCommand,
    field_options,
    json_option,
    merge,
    quiet_option,
    run_options,
    spelled,
)
from ensemble.config import FIELDS, SECTIONS, RunConfig
from ensemble.errors import UsageError

PROMISED = [
    *("--data", "--target", "--task", "--test", "--valid", "--standardize", "--net", "--hidden", "--init"),
    *("--bias-init", "--batch-norm", "--dropout", "--heads", "--members", "--resample", "--snapshots"),
    *("--dropout-samples", "--epochs", "--batch-size", "--optimizer", "--lr", "--momentum"),
    *("--weight-decay", "--schedule", "--clip-norm", "--clip-value", "--early-stop", "--seed"),
    *("--precision", "--combine", "--loss", "--match", "--data-dir", "--config", "--pool", "--address"),
    *("--workers", "--cpus-per-member", "--gpus-per-member", "--stack", "--retries"),
    *("--min-members", "--checkpoint-every"),
]

RUN = CliRunner()


@click.command(cls=SectionedCommand)
@run_options
@json_option
@quiet_option
@click.pass_context
def command(ctx: click.Context, config: RunConfig, as_json: bool, quiet: bool) -> None:
    """Takes every option."""
    ctx.obj.append(config)


def config_of(*arguments: str) -> RunConfig:
    seen: list[RunConfig] = []
    result = RUN.invoke(command, arguments, obj=seen, catch_exceptions=False, standalone_mode=False)
    assert result.exit_code == 0
    return seen[0]


def help_text() -> str:
    return RUN.invoke(command, ["--help"], terminal_width=200).output


def test_every_promised_option_exists():
    there = {name for param in command.params for name in param.opts}
    assert set(PROMISED) <= there


def test_every_field_has_its_option_and_no_other_name_collides():
    names = [param.name for param in command.params]
    assert len(names) == len(set(names))
    assert set(FIELDS) <= set(names)


def test_placeholders_belong_to_fields():
    assert set(PLACEHOLDERS) <= set(FIELDS)


def test_nothing_given_is_the_default_configuration():
    assert config_of() == RunConfig()


def test_text_becomes_the_type_of_its_field():
    config = config_of(
        *("--hidden", "256,128", "--lr", "1e-2", "--members", "3", "--stack", "4", "--test", "0.3"),
        *("--bias-init", "-0.1", "--batch-norm", "none", "--match"),
    )
    assert config.net.hidden == (256, 128)
    assert config.train.lr == 0.01
    assert config.ensemble.members == 3
    assert config.execution.stack == 4
    assert config.data.test == 0.3
    assert config.ensemble.match is True
    assert config.net.bias_init == -0.1
    assert config.net.batch_norm == "none"


def test_the_command_line_wins_over_the_file_and_the_file_over_defaults(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("epochs = 3\nclip-norm = 2.0\nclip_value = 1\nmatch = true\nhidden = [8, 8]\n")
    config = config_of("--config", str(file), "--epochs", "7", "--no-match")
    assert config.train.epochs == 7
    assert config.train.clip_norm == 2.0
    assert config.train.clip_value == 1.0
    assert config.ensemble.match is False
    assert config.net.hidden == (8, 8)
    assert config.train.batch_size == RunConfig().train.batch_size


def test_an_option_given_with_its_default_value_still_wins(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("members = 9\n")
    assert config_of("--config", str(file), "--members", "5").ensemble.members == 5


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"clip_norm": "-1"}, ["--clip-norm is '-1'", "greater than 0"]),
        ({"optimizer": "adm"}, ["--optimizer is 'adm'", "did you mean 'adam'"]),
        ({"net": "resnt"}, ["--net is 'resnt'", "did you mean 'resnet'"]),
        ({"members": "five"}, ["--members is 'five'", "integer"]),
        ({"seed": ""}, ["--seed is ''"]),
    ],
)
def test_a_refused_value_is_named_as_it_was_typed(given, words):
    with pytest.raises(UsageError) as caught:
        merge(given)
    for word in words:
        assert word in str(caught.value)


def test_a_refused_value_of_a_file_is_named_with_the_file(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("clip-norm = -1.0\n")
    with pytest.raises(UsageError, match=r"clip-norm in '.*run.toml' is -1.0"):
        merge({}, file)


def test_an_unknown_key_of_a_file_names_the_nearest(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("clip-nrom = 1.0\n")
    with pytest.raises(UsageError, match="did you mean 'clip-norm'"):
        merge({}, file)


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.toml"):
        merge({}, tmp_path / "nowhere.toml")


@pytest.mark.parametrize(("typed", "near"), [("--clip_norm", "--clip-norm"), ("--epoch-s", "--epochs")])
def test_an_unknown_option_names_the_nearest(typed, near):
    result = RUN.invoke(command, [typed, "1"], obj=[])
    assert result.exit_code == 2
    assert near in result.stderr


def test_help_groups_options_by_section():
    headings = [line for line in help_text().splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Data:", "Network:", "Training:", "Ensemble:", "Execution:", "Options:"]


def test_help_shows_defaults_from_the_fields_once():
    shown = " ".join(help_text().split())
    assert "Networks in the ensemble. [default: 5]" in shown
    assert "--optimizer sgd|adam|adamw" in shown
    for option in PROMISED:
        entry = next(p for p in command.params if option in p.opts).help
        assert entry.count("[default:") <= 1
    assert "None" not in shown


def test_every_field_is_described():
    for field, section in FIELDS.items():
        assert SECTIONS[section].model_fields[field].description, spelled(field)


def test_a_subset_of_fields_arrives_as_text_or_none():
    seen = {}

    @click.command()
    @field_options("target", "valid")
    def some(**values: str | None) -> None:
        seen.update(values)

    assert RUN.invoke(some, ["--valid", "0.2"]).exit_code == 0
    assert seen == {"target": None, "valid": "0.2"}
