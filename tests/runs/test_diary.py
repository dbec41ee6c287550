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


def test_what_is_no_unicode_does_not_end_a_run(tmp_path: Path) -> None:
    """As bytes of a file's name in the evidence of a failure. Seen to fail with pydantic's encoder alone, which raises;
    that line is passed over, the next one is read."""
    path = tmp_path / "events.jsonl"
    diary.append(path, "failed", {"evidence": "no such file: 'bad\udcff'"})
    diary.append(path, "two", {"loss": float("nan")})
    assert [event["event"] for event in diary.read(path)] == ["two"]
