"""Members trained together under the coordinator: one checkpoint for all, one commit a member, the same bits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ensemble.data.dataset import Dataset
from ensemble.runs.coordinator import run_ensemble
from ensemble.runs.pool import Pool, SerialPool
from ensemble.runs.store import RunStore
from ensemble.training.events import Checkpoint, Diverged, Event, Failed, Finished
from ensemble.training.tasks import Task, Train
from tests.runs.pools import ScriptedPool
from tests.scenarios import blobs, config_for

FIRST = "train/000+001+002"


pytestmark = pytest.mark.usefixtures("no_waiting")


def train(root: Path, pool: Pool, **options: Any) -> RunStore:
    data = blobs()
    config = config_for(data, **{"members": 5, "stack": 3, "resample": "bootstrap", "snapshots": 2} | options)
    store = RunStore.create(root, data, config=config, functions={}, parameters=10, versions={"torch": "2"})
    go_on(store, pool, data)
    return store


def go_on(store: RunStore, pool: Pool, data: Dataset | None = None) -> dict[str, Any]:
    return run_ensemble(store, data or blobs(), pool, lambda message: None, store.record.config.execution)


def digests(store: RunStore, *members: int) -> dict[str, str]:
    names = ("weights.safetensors", "predictions.safetensors", "snapshots/00.safetensors")
    paths = [store.member_directory(m) / name for m in members or range(5) for name in names]
    return {str(p.relative_to(store.root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return digests(train(tmp_path_factory.mktemp("undisturbed") / "run", SerialPool()))


def obedient(task: Task, attempt: int, events: Iterator[Event]) -> Iterator[Event]:
    return events


def test_stacks_are_tasks_and_the_bits_do_not_depend_on_workers(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    pool = ScriptedPool(obedient, workers=2)
    store = train(tmp_path / "run", pool)
    assert [key for key, _, _ in pool.submitted if key.startswith("train/")] == [FIRST, "train/003+004"]
    assert digests(store) == undisturbed
    assert not list(store.root.glob("stacks/*/*"))


def test_a_stack_that_dies_goes_on_from_its_checkpoint(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    """Snapshots sent before the checkpoint are not sent again: fails where its files are not taken up."""

    def dies(task: Task, attempt: int, events: Iterator[Event]) -> Iterator[Event]:
        for number, event in enumerate(events):
            yield event
            if (
                task.key == FIRST
                and attempt <= 2
                and number > 30 / attempt**2
                and isinstance(event, Checkpoint)
            ):
                yield Failed(None, "died", "exit code 137")
                return

    pool = ScriptedPool(dies)
    store = train(tmp_path / "run", pool, checkpoint_every=1e-9)
    assert [entry for entry in pool.submitted if entry[0] == FIRST] == [
        (FIRST, 1, False),
        (FIRST, 2, True),
        (FIRST, 3, True),
    ]
    assert digests(store) == undisturbed
    record = store.member(1)
    assert record is not None
    assert record.attempts == 3


def test_members_that_were_done_when_their_stack_died_are_not_written_again(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    """The worker dies between the first member's end and the second's: each is committed once."""

    def dies(task: Task, attempt: int, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            yield event
            if task.key == FIRST and attempt == 1 and isinstance(event, Finished):
                yield Failed(None, "died", "exit code 137")
                return

    store = train(tmp_path / "run", ScriptedPool(dies))
    assert digests(store) == undisturbed
    finished = [event["member"] for event in store.events() if event["event"] == "finished"]
    assert sorted(finished) == [0, 1, 2, 3, 4]
    records = [store.member(member) for member in range(3)]
    assert [record.attempts for record in records if record] == [1, 2, 2]


def test_a_member_that_diverges_leaves_its_stack_to_the_others(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    def diverges(task: Task, attempt: int, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            if task.key == FIRST and getattr(event, "member", None) == 1 and isinstance(event, Finished):
                yield Diverged(1, "loss nan")
            else:
                yield event

    pool = ScriptedPool(diverges)
    store = train(tmp_path / "run", pool)
    assert [store.member(member) is not None for member in range(5)] == [True, False, True, True, True]
    failure = store.failure(1)
    assert failure is not None
    assert failure.cause == "diverged"
    assert digests(store, 0, 2, 3, 4).items() <= undisturbed.items()
    assert (
        len([key for key, _, _ in pool.submitted if key.startswith("train/")]) == 2
    )  # nothing is tried again


def test_a_damaged_member_is_trained_again_with_its_stack_and_the_others_stay(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    """Trained again by itself it would have other bits; trained again with them, it alone is written."""
    store = train(tmp_path / "run", SerialPool())
    weights = store.member_directory(1) / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    stamps = {m: (store.member_directory(m) / "member.json").stat().st_mtime_ns for m in (0, 2, 3, 4)}
    pool = ScriptedPool(obedient)
    go_on(RunStore.open(store.root), pool)
    assert [key for key, _, _ in pool.submitted if key.startswith("train/")] == [FIRST]
    assert digests(store) == undisturbed
    assert stamps == {m: (store.member_directory(m) / "member.json").stat().st_mtime_ns for m in stamps}


def test_an_interrupted_stack_is_taken_up_by_the_next_session(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    class PowerCutError(Exception):
        pass

    def cut(task: Task, attempt: int, events: Iterator[Event]) -> Iterator[Event]:
        checkpoints = 0
        for event in events:
            yield event
            checkpoints += isinstance(event, Checkpoint)
            if task.key == FIRST and checkpoints == 9:
                raise PowerCutError

    with pytest.raises(PowerCutError):
        train(tmp_path / "run", ScriptedPool(cut), checkpoint_every=1e-9)
    store = RunStore.open(tmp_path / "run")
    assert len(list(store.root.glob("stacks/000-002/checkpoint-*.json"))) == 2
    pool = ScriptedPool(obedient)
    go_on(store, pool)
    assert (FIRST, 1, True) in pool.submitted
    assert digests(store) == undisturbed
    assert not list(store.root.glob("stacks/*/*"))


def test_new_members_get_stacks_of_their_own(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    store = train(tmp_path / "run", SerialPool())
    store.grow(7)
    pool = ScriptedPool(obedient)
    go_on(RunStore.open(store.root), pool)
    assert [key for key, _, _ in pool.submitted if key.startswith("train/")] == ["train/005+006"]
    assert digests(store) == undisturbed


def test_what_a_stack_lost_on_the_way_is_not_missed_in_silence(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    """A snapshot of one member never arrives: its Finished is not believed, nor any checkpoint after the loss."""

    def loses(task: Task, attempt: int, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            lost = getattr(event, "origin", None) == "snapshots" and getattr(event, "member", None) == 2
            if not (lost and attempt == 1 and task.key == FIRST):
                yield event

    pool = ScriptedPool(loses)
    store = train(tmp_path / "run", pool, checkpoint_every=1e-9)
    assert (FIRST, 2, False) in pool.submitted
    assert digests(store) == undisturbed


def test_a_task_of_a_stack_is_named_after_all_its_members() -> None:
    data = blobs()
    from ensemble.members.plan import plan_members

    plans = plan_members(config_for(data, members=3, stack=3), data.spec)
    assert Train(plans).key == FIRST
