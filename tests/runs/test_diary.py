"""The diary: what is whole in it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemble.errors import RunError
from ensemble.runs import diary


def test_a_line_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert list(diary.read(path)) == []
    diary.append(path, "one", {"member": 1})
    with path.open("a") as file:
        file.write('{"event": "tw')
    diary.append(path, "three", {})
    assert [(event["event"], event.get("member")) for event in diary.read(path)] == [
        ("one", 1),
        ("three", None),
    ]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no file of a run but a directory"):
        list(diary.read(tmp_path))
