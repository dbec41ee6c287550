"""A run that is kept in a storage, by the commands that a user types: from there it is seen, taken up and grown."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ensemble.cli.main import cli
from ensemble.runs.claim import CLAIM, Claim, Identity
from ensemble.runs.storage import Storage
from ensemble.runs.store import RunStore

TRAIN = ("--data", "iris", "--epochs", "2", "--members", "2", "--pool", "serial", "--quiet")

Do = Callable[..., Result]


@pytest.fixture
def address() -> str:
    return f"memory://{uuid.uuid4().hex}/first"


@pytest.fixture
def do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Do:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, list(arguments))
        assert result.exit_code == code, result.output
        return result

    return run


def test_a_run_is_kept_seen_taken_up_and_grown(do: Do, address: str, tmp_path: Path) -> None:
    do("train", *TRAIN, "--storage", address, "--run", "here")
    seen = json.loads(do("status", address, "--json").stdout)
    assert (seen["state"], seen["held_by"], len(seen["members"])) == ("done", None, 2)

    taken_up = do("resume", address)
    assert "this run is finished" in taken_up.stderr
    (fetched,) = (tmp_path / "runs").iterdir()
    assert fetched.name.endswith("-first")
    assert f"Run directory: runs/{fetched.name}" in taken_up.stdout
    assert (fetched / "report.json").read_bytes() == (tmp_path / "here" / "report.json").read_bytes()

    do("grow", address, "--add", "1", "--run", "grown", "--quiet")
    assert len(json.loads(do("status", address, "--json").stdout)["members"]) == 3
    assert (tmp_path / "grown" / "members" / "002" / "member.json").exists()
    behind = do("resume", "here", code=2)
    assert "is ahead of run directory" in behind.stderr


def test_one_storage_holds_one_run(do: Do, address: str, tmp_path: Path) -> None:
    do("train", *TRAIN, "--storage", address, "--run", "here")
    refused = do("train", *TRAIN, "--storage", address, "--run", "there", code=2)
    assert f"storage {address!r} holds run 'here'" in refused.stderr
    assert not (tmp_path / "there").exists()


def test_a_run_that_goes_on_elsewhere_is_seen_running(do: Do, address: str, tmp_path: Path) -> None:
    do("train", *TRAIN, "--storage", address, "--run", "here")
    theirs = Claim.now(Identity.of(RunStore.open(tmp_path / "here").record), going=True)
    Storage(address).write(CLAIM, theirs.model_copy(update={"host": "head", "pid": 7}).sealed())
    assert "running, by process 7 on head, heard 0 s ago" in do("status", address).stdout
    assert "held by process 7 on head" in do("resume", address, code=2).stderr


def test_a_place_to_fetch_to_is_for_addresses(do: Do) -> None:
    assert "is none" in do("resume", "runs/x", "--run", "y", code=2).stderr


def test_what_was_begun_on_a_cluster_is_taken_home(do: Do, address: str) -> None:
    """Where members are trained is kept with a run; ``local`` is the word that leaves it behind."""
    do("train", *TRAIN, "--storage", address, "--run", "here")
    config = RunStore.open(Path("here")).record.config
    assert config.execution.address is None
    do("grow", "here", "--add", "1", "--address", "local", "--quiet")
    refused = do("grow", "here", "--add", "1", "--address", "10.0.0.1:6379", code=2)
    assert "address needs pool ray" in refused.stderr
