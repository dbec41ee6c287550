"""What a new run directory is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemble.config import make_config
from ensemble.runs.place import new_directory_for, new_run_directory


def test_names_of_new_directories_tell_data_and_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = new_run_directory(make_config({"data": "/some/where/My Data.csv", "net": "mine:net"}))
    assert first.parent == Path("runs")
    assert first.name.endswith("My-Data-mine-net")
    first.mkdir(parents=True)
    assert new_run_directory(make_config({"data": "/some/where/My Data.csv", "net": "mine:net"})) != first


def test_a_fetched_run_is_named_after_its_address() -> None:
    assert new_directory_for("s3://bucket/some/first run").name.endswith("-first-run")
    assert new_directory_for("s3://bucket").name.endswith("-bucket")
