"""The coordinator: everything trained, once, whatever the pool does; failures recorded, the rest finished."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.config import RunConfig
from ensemble.data.dataset import Dataset
from ensemble.errors import TooFewMembersError
from ensemble.runs.coordinator import run_ensemble
from ensemble.runs.pool import Pool, SerialPool
from ensemble.runs.store import RunStore
from ensemble.training.events import Checkpoint, Diverged, Event, Failed, Finished, Progress
from ensemble.training.tasks import Task
from tests.runs.pools import ScriptedPool
from tests.scenarios import blobs, config_for, line


def new_store(root: Path, data: Dataset, config: RunConfig) -> RunStore:
    return RunStore.create(root, data, config=config, functions={}, parameters=10, versions={"torch": "2"})


def train(
    root: Path, pool: Pool, data: Dataset | None = None, **options: Any
) -> tuple[RunStore, dict[str, Any]]:
    data = data or blobs()
    store = new_store(root, data, config_for(data, **options))
    return store, run_ensemble(store, data, pool, lambda message: None, store.record.config.execution)


def digests(store: RunStore, name: str = "weights.safetensors") -> list[str]:
    paths = sorted(store.root.glob(f"members/*/{name}"))
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def obedient(task: Task, attempt: int, events: Iterator[Event]) -> Iterator[Event]:
    return events


pytestmark = pytest.mark.usefixtures("no_waiting")


def test_members_are_trained_combined_and_evaluated(tmp_path: Path) -> None:
    store, report = train(tmp_path / "run", SerialPool(), members=3, epochs=10)
    assert [member["status"] for member in report["members"]] == ["done"] * 3
    assert {"average", "vote", "parameters", "greedy"} <= set(report["combined"])
    assert report["combined"]["average"]["accuracy"] > 0.9
    assert store.report() == report
    assert report["cost"]["member_seconds"] > 0


def test_an_ensemble_of_one_equals_its_member(tmp_path: Path) -> None:
    _, report = train(tmp_path / "run", SerialPool(), members=1)
    member = report["members"][0]["test"]
    average = report["combined"]["average"]
    assert {name: average[name] for name in member} == pytest.approx(member, abs=1e-9)


def test_the_same_bits_whatever_the_pool_and_workers(tmp_path: Path) -> None:
    serial, _ = train(tmp_path / "a", SerialPool(), members=3)
    side_by_side, _ = train(tmp_path / "b", ScriptedPool(obedient, workers=3), members=3)
    assert digests(serial) == digests(side_by_side)
    assert digests(serial, "predictions.safetensors") == digests(side_by_side, "predictions.safetensors")


def test_more_members_change_nobody(tmp_path: Path) -> None:
    few, _ = train(tmp_path / "a", SerialPool(), members=2, resample="bootstrap")
    more, _ = train(tmp_path / "b", SerialPool(), members=3, resample="bootstrap")
    assert digests(more)[:2] == digests(few)


def test_a_worker_that_dies_is_replaced_and_the_bits_stay(tmp_path: Path) -> None:
    def dies(task: Task, attempt: int, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            yield event
            if task.key == "train/001" and attempt <= 2 and isinstance(event, Checkpoint):
                yield Failed(1, "died", "exit code 137")
                return

    pool = ScriptedPool(dies)
    store, report = train(tmp_path / "a", pool, checkpoint_every=1e-9, retries=2)
    undisturbed, _ = train(tmp_path / "b", SerialPool())
    assert report["members"][1]["attempts"] == 3
    assert [entry for entry in pool.submitted if entry[0] == "train/001"] == [
        ("train/001", 1, False),
        ("train/001", 2, True),
        ("train/001", 3, True),
    ]
    assert digests(store) == digests(undisturbed)


def test_a_member_that_keeps_failing_does_not_take_the_others_along(tmp_path: Path) -> None:
    def fails(task: Task, attempt: int, events: Iterator[Event]) -> Iterator[Event]:
        if task.key != "train/000":
            return events
        return iter([Failed(0, "raised", "Traceback …\nValueError: no")])

    store, report = train(tmp_path / "run", ScriptedPool(fails), members=3, retries=1)
    assert [member["status"] for member in report["members"]] == ["failed", "done", "done"]
    assert report["members"][0]["attempts"] == 2
    failure = store.failure(0)
    assert failure is not None
    assert "ValueError: no" in failure.evidence
    assert len(report["diversity"]["members"]["pairwise"]) == 2


def test_a_diverged_member_is_left_out_at_once(tmp_path: Path) -> None:
    def diverges(task: Task, attempt: int, events: Iterator[Event]) -> Iterator[Event]:
        return iter([Diverged(1, "loss nan")]) if task.key == "train/001" else events

    pool = ScriptedPool(diverges)
    _, report = train(tmp_path / "run", pool)
    assert report["members"][1]["status"] == "diverged"
    assert [entry[:2] for entry in pool.submitted].count(("train/001", 1)) == 1
    assert ("train/001", 2, False) not in pool.submitted


def test_too_few_members_are_no_result(tmp_path: Path) -> None:
    def fails(task: Task, attempt: int, events: Iterator[Event]) -> Iterator[Event]:
        return iter([Diverged(0, "loss nan")]) if task.key == "train/000" else events

    with pytest.raises(TooFewMembersError, match="1 of 2 members finished, and min-members is 2"):
        train(tmp_path / "run", ScriptedPool(fails), min_members=2)


def test_a_death_after_the_last_event_is_not_trained_again(tmp_path: Path) -> None:
    def dies_late(task: Task, attempt: int, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            yield event
            if isinstance(event, Finished):
                yield Failed(event.member, "died", "after the end")

    pool = ScriptedPool(dies_late)
    _, report = train(tmp_path / "run", pool)
    assert [member["attempts"] for member in report["members"]] == [1, 1]
    assert len(pool.submitted) == 3  # two members and the parameter average


def test_late_words_of_a_former_attempt_are_ignored(tmp_path: Path) -> None:
    """Without the guard the old attempt's Finished, which lacks predictors, would commit the member."""
    history = (Progress(0, 1, 4, 9.0, 0.0, 9.0, 0.1, 1.0, 0.0, 0.1, 60),)

    class Echoing(ScriptedPool):
        def poll(self, timeout: float) -> list[Any]:
            from ensemble.runs.pool import Message

            messages = super().poll(timeout)
            late = [Message(m.key, 1, Finished(0, history, 0.1, 0.1)) for m in messages if m.attempt == 2]
            return late + messages

    def dies_once(task: Task, attempt: int, events: Iterator[Event]) -> Iterator[Event]:
        return iter([Failed(0, "died", "x")]) if (task.key, attempt) == ("train/000", 1) else events

    store, report = train(tmp_path / "run", Echoing(dies_once))
    assert report["members"][0]["epochs"] == 4
    record = store.member(0)
    assert record is not None
    assert store.weights(record)


def test_what_is_done_is_not_trained_again(tmp_path: Path) -> None:
    data = blobs()
    store, first = train(tmp_path / "run", SerialPool(), data)
    pool = ScriptedPool(obedient)
    again = run_ensemble(store, data, pool, lambda message: None, store.record.config.execution)
    assert pool.submitted == []
    assert again["combined"] == first["combined"]


def test_regression_has_no_vote_and_says_so(tmp_path: Path) -> None:
    _, report = train(tmp_path / "run", SerialPool(), line(), epochs=30)
    assert "vote" not in report["combined"]
    assert any("vot" in note for note in report["notes"])
    assert report["combined"]["average"]["rmse"] < 8
    assert 0.8 < report["combined"]["average"]["coverage95"] <= 1


def test_averaged_parameters_are_refreshed_and_predicted_by_a_worker(tmp_path: Path) -> None:
    store, report = train(tmp_path / "run", SerialPool())
    record = store.averages.get("averaged")
    assert record is not None
    assert record.networks == ((0, 0), (1, 0))
    averaged = store.averages.weights(record)
    members = [store.weights(member) for member in (store.member(0), store.member(1)) if member is not None]
    name = next(name for name in averaged if name.endswith("weight"))
    np.testing.assert_allclose(averaged[name], (members[0][name] + members[1][name]) / 2, rtol=1e-6)
    running = next(name for name in averaged if name.endswith("running_mean"))
    assert not np.allclose(averaged[running], (members[0][running] + members[1][running]) / 2)
    assert report["combined"]["parameters"]["advised"] in (True, False)
