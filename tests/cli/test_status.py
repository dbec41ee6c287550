"""``ensemble status``: few members are all shown, of many those that somebody may want to do something about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ensemble.cli import status
from ensemble.cli.main import cli
from tests.runs.finished import finished_run
from tests.scenarios import blobs


def test_all_of_few_members_are_shown(tmp_path: Path) -> None:
    finished_run(tmp_path / "run", blobs(), members=3)
    said = CliRunner().invoke(cli, ["status", str(tmp_path / "run")]).stdout
    assert all(f"{index:03d}" in said for index in range(3))
    assert "members:" not in said


def test_of_many_members_those_under_way_are_shown_and_the_others_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "MOST", 4)
    store = finished_run(tmp_path / "run", blobs(), members=6)
    (store.member_directory(2) / "member.json").write_text("{}")
    result = CliRunner().invoke(cli, ["status", str(store.root)])
    assert "002" in result.stdout
    assert "003" not in result.stdout
    assert "6 members: 5 done, 1 damaged. All of them: --json" in result.stdout
    whole = CliRunner().invoke(cli, ["status", "--json", str(store.root)])
    assert len(json.loads(whole.stdout)["members"]) == 6
