"""A command as a job has to run it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.cli.options import merge, typed
from ensemble.cli.order import Order, order_of
from ensemble.cli.train import train
from ensemble.config import FIELDS, make_config
from ensemble.errors import UsageError


def order(*command: str, storage: str | None = None, insecure: bool = False) -> Order:
    return order_of(command, storage=storage, insecure=insecure)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "data": st.sampled_from(["digits", "-x.csv", "a b;c.csv", "$HOME", "my_data:load"]),
    "test": st.floats(0.01, 0.99) | st.sampled_from(["test.csv"]),
    "hidden": st.lists(st.integers(1, 999), min_size=1, max_size=3),
    "bias_init": st.floats(-1e9, 1e9),
    "lr": st.floats(1e-300, 1e300, exclude_min=True),
    "members": st.integers(1, 10**6),
    "match": st.booleans(),
    "stack": st.just("auto") | st.integers(1, 99),
    "resources": st.dictionaries(st.sampled_from(["fast", "big"]), st.floats(0.1, 9), max_size=2),
    "retries": st.integers(0, 99),
}


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_what_is_typed_again_is_the_same_configuration(values: dict[str, Any]) -> None:
    """Seen to fail where a value that begins with a dash is a word of its own."""
    asked = make_config(values | {"address": "auto"})
    words = typed(
        {field: getattr(section, field) for _, section in asked for field in section.model_fields_set}
    )
    params = train.make_context("train", words).params
    assert merge({field: params[field] for field in FIELDS}) == asked


def test_a_command_is_joined_to_the_jobs_own_cluster() -> None:
    sent = order("train", "--data", "digits", "--members", "3", "--quiet", "--json")
    assert sent.arguments == [
        *("train", "--data=digits", "--members=3", "--address=auto"),
        *("--json", "--quiet"),
    ]
    assert sent.new_run is not None
    assert sent.new_run.endswith("-digits")
    assert "--insecure" in order("train", insecure=True).arguments


def test_a_configuration_file_becomes_options(tmp_path: Path) -> None:
    """So the file need not go along; the command line wins as it does everywhere."""
    (tmp_path / "run.toml").write_text('hidden = [64, 32]\nmembers = 9\nmatch = true\nnet = "mine:net"\n')
    sent = order("train", "--config", str(tmp_path / "run.toml"), "--members", "4")
    assert {"--hidden=64,32", "--members=4", "--match", "--net=mine:net"} <= set(sent.arguments)
    assert sent.options["net"] == "mine:net"
    (tmp_path / "run.toml").write_text('address = "10.0.0.1:6379"\n')
    assert "--address=auto" in order("train", "--config", str(tmp_path / "run.toml")).arguments


def test_a_storage_is_given_before_the_command_or_within_it() -> None:
    for sent in (
        order("train", storage="s3://b/r"),
        order("train", "--storage", "s3://b/r", storage="s3://b/r"),
    ):
        assert "--storage=s3://b/r" in sent.arguments
    with pytest.raises(UsageError, match="give one of them"):
        order("train", "--storage", "s3://b/r", storage="s3://b/other")


def test_a_resume_goes_on_from_a_storage_or_on_the_heads_disk() -> None:
    fetched = order("resume", "s3://b/first", "--net", "mine:net")
    assert fetched.arguments == ["resume", "s3://b/first", "--net=mine:net", "--address=auto"]
    assert fetched.new_run is not None
    assert fetched.new_run.endswith("-first")
    assert order("resume", "/home/ray/ensemble-runs/x").new_run is None
    grown = order("grow", "s3://b/first", "--add", "2", "--run", "/data/first", "--strict")
    assert grown.arguments[:3] == ["grow", "s3://b/first", "--add=2"]
    assert {"--run=/data/first", "--strict"} <= set(grown.arguments)
    assert grown.new_run is None


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("predict", "run"), r"'predict' cannot be sent to a cluster; train, resume, grow can"),
        (("train", "--address", "auto"), "leave --address out of the command"),
        (("train", "--pool", "serial"), "leave --pool out of the command"),
        (("train", "--insecure"), "leave --insecure out of the command"),
        (("train", "--run", "runs/x"), "--run is 'runs/x': a job's own directory is removed"),
        (("resume", "runs/x"), "RUN is 'runs/x': a job's own directory is removed"),
        (("train", "--storage", "kept"), "--storage is 'kept': a job's own directory is removed"),
        (("train", "--members", "0"), "--members is '0'"),
    ],
)
def test_what_no_job_could_run_is_refused_here(command: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        order(*command)


def test_an_unknown_option_is_refused_as_always() -> None:
    with pytest.raises(click.UsageError, match="--membres"):
        order("train", "--membres", "3")
