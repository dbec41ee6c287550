"""Thousands of members: what the coordinator, status and report do grows as their number, and memory does not.

Counted, not timed: `examples/benchmarks/coordinator_scale.py` measures seconds.
"""

from __future__ import annotations

import json
import os
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from ensemble.combining import scratch
from ensemble.evaluation.evaluate import EvaluationInput, Predictors, evaluate
from ensemble.members.resampling import unseen_rows
from ensemble.reports.html import render_html
from ensemble.runs.coordinator import train_members
from ensemble.runs.gathering import out_of_bag, predictors_of
from ensemble.runs.pool import Message
from ensemble.runs.reporting import finished_members, make_report
from ensemble.runs.status import run_status
from ensemble.runs.store import RunStore
from ensemble.training.events import Event, Finished, Predictor, Progress, Started
from ensemble.training.tasks import Task, Train
from tests.evaluation.scenarios import gaussians, probabilities
from tests.runs.finished import finished_run
from tests.scenarios import blobs, config_for

DATA = blobs(rows=30)
PRINT = {"hardware": "simulated", "device": "cpu", "threads": 1, "precision": "float32"}


class InstantPool:
    """A `Pool` that says one word a poll, so that whatever is done at each of them is done as often as can be."""

    workers = 2

    def __init__(self) -> None:
        self._events: list[Iterator[Message]] = []

    def submit(self, task: Task, *, attempt: int) -> None:
        assert isinstance(task, Train)
        self._events.append(Message(task.key, attempt, event) for event in trained(task))

    def poll(self, timeout: float) -> list[Message]:
        while self._events:
            for message in self._events[0]:
                return [message]
            self._events.pop(0)
        return []

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was not expected")


def trained(task: Train) -> Iterator[Event]:
    for plan in task.plans:
        yield Started(plan.index, "cpu", "simulated", 1, fingerprint=PRINT)
    for plan in task.plans:
        progress = Progress(plan.index, 1, 1, 1.0, None, None, 0.1, 1.0, 0.0, 0.1, 18)
        yield progress
        said = {part: np.full((len(DATA.rows(part)), 3), 1 / 3, np.float32) for part in ("valid", "test")}
        yield Predictor(plan.index, "members", 0, {"w": np.zeros(2, np.float32)}, said)
        yield Finished(plan.index, (progress,), 0.1, 0.1)


@pytest.fixture
def _no_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk's own time is not what is looked at."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def calls(work: Callable[[], object]) -> int:
    """How many functions are called, in Python or in C, that the work consists of."""
    counted = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


def run_of(root: Path, members: int) -> Callable[[], object]:
    config = config_for(DATA, members=members, epochs=1, stack=1)
    store = RunStore.create(root, DATA, config=config, functions={}, parameters=2, versions={})

    def work() -> None:
        train_members(store.plans, store, DATA, InstantPool(), lambda message: None, config.execution)

    return work


@pytest.mark.usefixtures("_no_syncs")
def test_the_coordinators_work_grows_as_the_members(tmp_path: Path) -> None:
    """Fails where every word of a worker makes it look through everybody who waits, as it once did."""
    few, many = (calls(run_of(tmp_path / str(members), members)) / members for members in (50, 200))
    assert many < few * 1.05
    assert many < 4000


@pytest.mark.usefixtures("_no_syncs")
def test_status_and_report_of_a_thousand_members(tmp_path: Path) -> None:
    """Each member's files are opened once, but for those of a few that are drawn; and what is written stays small."""
    members = 1000
    store = finished_run(tmp_path / "run", DATA, members=members, skill=0.1)
    opened: Counter[str] = Counter()

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "open" and str(arguments[0]).startswith(str(store.root)):
            opened[Path(str(arguments[0])).name] += 1

    watching = True
    sys.addaudithook(note)
    try:
        assert {member.state for member in run_status(store).members} == {"done"}
        assert opened["member.json"] == members
        assert not opened["predictions.safetensors"]
        opened.clear()
        report = make_report(store, {"pool": "simulated", "workers": 2})
    finally:
        watching = False
    assert opened["member.json"] == opened["predictions.safetensors"] == members
    assert opened["history.jsonl"] == 100
    assert not opened["weights.safetensors"]
    assert len(report["members"]) == members
    assert report["diversity"]["members"]["disagreement"] > 0
    assert len(render_html(report)) < 500_000
    assert len(json.dumps(report)) < 1000 * members


def peak(work: Callable[[], object]) -> int:
    """The greatest number of bytes that the work held at once, files apart."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_evaluation_holds_no_array_of_members_and_rows(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where all labels are held for a table of pairs: an array of 8 bytes an entry is 1.8 MB more."""
    monkeypatch.setattr(scratch, "IN_MEMORY", 1000)
    monkeypatch.setattr(scratch, "BLOCK", 20_000)
    rows, members = 500, 600
    classes = 2 if task == "classification" else 0
    some, y = probabilities(10, 2 * rows, classes) if classes else gaussians(10, 2 * rows)

    def given(count: int) -> EvaluationInput:
        parts = []
        for part in (slice(0, rows), slice(rows, 2 * rows)):
            parts.append(scratch.scratch((count, rows, 2), np.float32))
            for one in range(count):
                parts[-1][one] = some[one % 10, part]
        predictors = (Predictors("members", tuple(range(count)), *parts),)
        return EvaluationInput(task, ("a", "b")[:classes], y[:rows], y[rows:], predictors)

    small, large = (peak(partial(evaluate, given(count))) for count in (members // 4, members))
    assert large - small < 1_000_000


def test_a_report_reads_one_member_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where predictions are collected before they are brought together."""
    monkeypatch.setattr(scratch, "IN_MEMORY", 0)
    data = blobs(rows=4000)
    store = finished_run(tmp_path / "run", data, members=60)
    records = finished_members(store)
    bytes_of_all = 60 * (len(data.valid) + len(data.test)) * 3 * 4
    assert peak(lambda: predictors_of(store, records, "members")) < bytes_of_all / 2


def test_out_of_bag_rows_and_predictions_are_those_of_each_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "IN_MEMORY", 0)
    config = config_for(DATA, members=3, resample="bootstrap")
    store = RunStore.create(tmp_path / "run", DATA, config=config, functions={}, parameters=2, versions={})
    unseen, said = {}, {}
    for plan in store.plans:
        rows = unseen_rows(plan, DATA.train)
        assert rows is not None
        random = np.random.default_rng(plan.index)
        counts = {"valid": len(DATA.valid), "test": len(DATA.test), "oob": len(rows)}
        unseen[plan.index] = rows
        said[plan.index] = {part: random.random((count, 3), np.float32) for part, count in counts.items()}
        store.begin_member(plan)
        files = store.save_predictor(
            Predictor(plan.index, "members", 0, {"w": np.zeros(2, np.float32)}, said[plan.index])
        )
        done = Finished(plan.index, (), 0.1, 0.1)
        store.commit_member(plan, done, files, attempts=1, fingerprints=[PRINT])
    records = finished_members(store)
    found = out_of_bag(store, records)
    assert found is not None
    predictors_of(store, records, "members", unseen=found)
    for member, (positions, values) in enumerate(zip(found.rows, found.values, strict=True)):
        assert np.array_equal(DATA.train[positions], unseen[member])
        assert np.array_equal(values, said[member]["oob"])
