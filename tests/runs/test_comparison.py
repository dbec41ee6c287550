"""Runs are paired where the test rows are the same, and only there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ensemble.data.dataset import Dataset
from ensemble.errors import RunError, UsageError
from ensemble.evaluation.metrics import nll_rows
from ensemble.runs.comparison import compare_runs
from ensemble.runs.reporting import make_report
from ensemble.runs.store import RunStore
from tests.runs.finished import finished_run
from tests.scenarios import blobs, line


def reported(root: Path, data: Dataset, **how: float) -> RunStore:
    store = finished_run(root, data, **how)  # type: ignore[arg-type]
    store.save_report(make_report(store))
    return store


def renamed(data: Dataset, **changes: str) -> Dataset:
    return replace(data, spec=data.spec.model_copy(update=changes))


def test_the_same_data_are_paired(tmp_path: Path) -> None:
    good = reported(tmp_path / "good", blobs(), skill=5.0)
    poor = reported(tmp_path / "poor", blobs(), skill=0.1, seed=3, members=2)
    found = compare_runs([good, poor])
    (test,) = found["tests"]
    assert (test["a"], test["b"], found["unpaired"]) == (0, 1, [])
    ours, theirs = (run["combined"]["average"] for run in found["runs"])
    for metric, one in test["difference"].items():
        assert one["value"] == pytest.approx(ours[metric] - theirs[metric])
    assert test["difference"]["nll"]["ci95"][1] < 0
    assert found["differing"] == {"members": [3, 2], "seed": [0, 3]}


def test_a_run_against_itself_differs_by_nothing(tmp_path: Path) -> None:
    store = reported(tmp_path / "one", line())
    (test,) = compare_runs([store, store])["tests"]
    assert all(one["value"] == 0 and one["ci95"] == [0, 0] for one in test["difference"].values())


def test_another_split_with_the_same_test_rows_is_paired(tmp_path: Path) -> None:
    """Other seeds draw other validation rows; the test rows of the source are the same."""
    one = reported(tmp_path / "a", renamed(blobs(), sha256="one", test_sha256="same"))
    two = reported(tmp_path / "b", renamed(blobs(), sha256="two", test_sha256="same"))
    assert len(compare_runs([one, two])["tests"]) == 1


@pytest.mark.parametrize(
    ("ours", "theirs", "why"),
    [("x", "y", "test rows differ"), ("", "y", "earlier version"), ("", "", "earlier version")],
)
def test_other_test_rows_are_not_paired_and_it_is_said(
    tmp_path: Path, ours: str, theirs: str, why: str
) -> None:
    one = reported(tmp_path / "a", renamed(blobs(), sha256="one", test_sha256=ours))
    two = reported(tmp_path / "b", renamed(blobs(), sha256="two", test_sha256=theirs))
    found = compare_runs([one, two])
    assert found["tests"] == []
    assert why in found["unpaired"][0]["why"]


def test_members_that_the_report_does_not_count_are_left_out(tmp_path: Path) -> None:
    data = blobs()
    store = finished_run(tmp_path / "a", data, members=3, skill=0.1)
    report = make_report(store)
    report["members"][2]["status"] = "failed"
    store.save_report(report)
    other = reported(tmp_path / "b", data, members=2)
    (test,) = compare_runs([store, other])["tests"]
    records = [record for index in range(2) if (record := store.member(index)) is not None]
    counted = np.mean([store.predictions(record)["test"] for record in records], axis=0)
    nll = nll_rows(counted, data.y[data.test]).mean() - other.report()["combined"]["average"]["nll"]
    assert test["difference"]["nll"]["value"] == pytest.approx(nll)


def test_different_tasks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"share no figure.*is classification.*is regression"):
        compare_runs([reported(tmp_path / "a", blobs()), reported(tmp_path / "b", line())])


def test_one_run_is_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two runs or more, not 1"):
        compare_runs([reported(tmp_path / "a", blobs())])


def test_a_run_without_a_report_is_refused(tmp_path: Path) -> None:
    store = finished_run(tmp_path / "a", blobs())
    with pytest.raises(RunError, match="no report yet"):
        compare_runs([store, store])
