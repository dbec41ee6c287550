from __future__ import annotations

from pathlib import Path

import pytest

from ensemble.runs import history
from ensemble.runs.history import CURVES, MOST_EPOCHS, _columns, training_curves
from ensemble.runs.reporting import finished_members
from tests.runs.finished import finished_run
from tests.scenarios import blobs


def test_curves_are_those_of_the_histories(tmp_path: Path) -> None:
    store = finished_run(tmp_path / "run", blobs(), members=2)
    curves = training_curves(store, finished_members(store))
    assert [one["index"] for one in curves] == [0, 1]
    assert curves[0]["epoch"] == [1, 2, 3, 4]
    assert curves[0]["loss"] == [1.0, 0.5, 0.333333, 0.25]


def test_a_long_history_is_thinned_between_its_ends() -> None:
    long = [{"epoch": epoch, **dict.fromkeys(CURVES, float(epoch))} for epoch in range(1, 5 * MOST_EPOCHS)]
    columns = _columns(long)
    assert len(columns["epoch"]) == MOST_EPOCHS
    assert (columns["epoch"][0], columns["epoch"][-1]) == (1, 5 * MOST_EPOCHS - 1)


def test_what_is_not_a_number_is_none() -> None:
    columns = _columns([{"epoch": 1, **dict.fromkeys(CURVES), "loss": float("nan")}])
    assert columns["loss"] == columns["valid_loss"] == [None]
    assert _columns([])["loss"] == []


def test_of_many_members_some_are_drawn_the_first_and_the_last_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_MEMBERS", 3)
    store = finished_run(tmp_path / "run", blobs(), members=7)
    curves = training_curves(store, finished_members(store))
    assert [one["index"] for one in curves] == [0, 3, 6]
