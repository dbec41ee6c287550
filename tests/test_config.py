"""The configuration: defaults, refusals with the nearest name, TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.config import FIELDS, SECTIONS, RunConfig, make_config, read_toml
from ensemble.errors import UsageError


def test_every_field_has_a_default_a_description_and_a_name_of_its_own() -> None:
    assert RunConfig() == make_config({})
    fields = [(name, info) for section in SECTIONS.values() for name, info in section.model_fields.items()]
    assert len(fields) == len(FIELDS)
    assert all(info.description for _, info in fields)


def test_flat_values_make_the_same_configuration_again() -> None:
    config = make_config({"members": 3, "hidden": "64,32", "test": "0.3", "clip-norm": 2})
    assert make_config(config.flat()) == config
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"membrs": 3}, "unknown configuration key 'membrs'; did you mean 'members'"),
        ({"init": "hee"}, "did you mean 'he'"),
        ({"net": "mpl"}, "did you mean 'mlp'"),
        ({"loss": "gausian"}, "did you mean 'gaussian'"),
        ({"epochs": 0}, "epochs is 0: input should be greater than or equal to 1"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"hidden": "64,x"}, "hidden is 'x'"),
        ({"test": 1.5}, "test is 1.5, but a fraction lies between 0 and 1"),
        ({"schedule": "cyclic"}, "schedule cyclic needs snapshots"),
        ({"early_stop": 3, "valid": 0}, "early-stop needs validation rows"),
        ({"snapshots": 3, "early_stop": 2}, "early-stop does not go with snapshots"),
        ({"combine": "greedy", "valid": 0}, "combine greedy selects on validation rows"),
        ({"members": 2, "min_members": 3}, "min-members is 3, but members is 2"),
        ({"address": "auto", "pool": "serial"}, "address needs pool ray"),
        ({"heads": 2, "match": True}, "match does not go with heads"),
    ],
)
def test_what_is_impossible_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        make_config(values)


def test_a_file_holds_the_same_names(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('clip-norm = 2.0\nbatch_size = 32\nhidden = [8, 8]\ntest = "more.csv"\n')
    values = read_toml(tmp_path / "c.toml")
    assert values == {"clip_norm": 2.0, "batch_size": 32, "hidden": [8, 8], "test": "more.csv"}
    assert make_config(values).net.hidden == (8, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [("members = ", "is not TOML"), ("epoch = 3", "unknown key 'epoch' .*did you mean 'epochs'")],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_toml(tmp_path / "c.toml")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read configuration"):
        read_toml(tmp_path / "none.toml")


@given(st.binary(max_size=200))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("toml") / "c.toml"
    path.write_bytes(content)
    try:
        read_toml(path)
    except UsageError:
        return


@given(
    st.dictionaries(
        st.sampled_from(sorted(FIELDS)), st.one_of(st.none(), st.text(), st.integers(), st.floats())
    )
)
def test_any_values_are_taken_or_refused(values: dict[str, Any]) -> None:
    try:
        make_config(values)
    except UsageError:
        return


def test_custom_resources_are_names_with_amounts() -> None:
    there = {"address": "auto"}
    read = make_config({"resources": "licence=1, tpu=0.5"} | there)
    assert read.execution.resources == {"licence": 1.0, "tpu": 0.5}
    assert make_config(read.flat()).execution.resources == {"licence": 1.0, "tpu": 0.5}
    for wrong in ("licence", "=1", "licence=0", "licence=x"):
        with pytest.raises(UsageError, match="resources is"):
            make_config({"resources": wrong} | there)
    with pytest.raises(UsageError, match="resources are those of a cluster's nodes: give its --address"):
        make_config({"resources": "licence=1"})
