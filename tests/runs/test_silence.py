"""Hung workers are told from slow ones, and from a coordinator that was busy itself."""

from __future__ import annotations

from typing import Any

import pytest

from ensemble.data.dataset import Dataset
from ensemble.runs.pool import Message
from ensemble.runs.silence import AttentivePool
from ensemble.training import loop
from ensemble.training.events import Alive, Event, Predictor, Progress
from ensemble.training.loop import train_member
from ensemble.training.tasks import Task, Train
from tests.scenarios import blobs, plans_for


class Told:
    """A pool that tells what a test gives it; each poll takes as long as it says."""

    workers = 2

    def __init__(self, *running: str) -> None:
        self.now = 0.0
        self.killed: list[str] = []
        self._running = running
        self._next: list[Message] = []
        self._takes: float | None = None

    def tell(self, key: str) -> None:
        self._next.append(Message(key, 1, Alive(0)))

    def takes(self, seconds: float) -> None:
        self._takes = seconds

    def poll(self, timeout: float) -> list[Message]:
        self.now += timeout if self._takes is None else self._takes
        self._takes = None
        said, self._next = self._next, []
        return said

    def running(self) -> tuple[str, ...]:
        return self._running

    def kill(self, key: str) -> None:
        self.killed.append(key)

    def share(self, data: Dataset) -> None: ...
    def submit(self, task: Task, *, attempt: int) -> None: ...
    def cancel(self, key: str) -> None: ...
    def describe(self) -> dict[str, Any]: ...  # type: ignore[empty-body]
    def close(self) -> None: ...


def listen(pool: AttentivePool, seconds: float) -> None:
    for _ in range(int(seconds * 2)):
        pool.poll(0.5)


def attentive(told: Told, *, least: float = 60) -> AttentivePool:
    return AttentivePool(told, least=least, clock=lambda: told.now)


def test_a_worker_that_falls_silent_is_killed() -> None:
    """Seen to fail without ``pool.kill`` in ``AttentivePool.poll``, and without ``least``."""
    told = Told("a", "b")
    pool = attentive(told)
    for _ in range(59):
        told.tell("b")
        listen(pool, 1)
    assert told.killed == []
    listen(pool, 2)
    assert told.killed == ["a"]


def test_patience_grows_with_the_longest_pause_so_far() -> None:
    """Seen to fail without the factor: a pause of 79 s was taken for a hang."""
    told = Told("a")
    pool = attentive(told, least=5)
    told.tell("a")
    listen(pool, 4)
    told.tell("a")  # after a pause of 4 s: from now on up to 80 s are borne
    listen(pool, 79)
    assert told.killed == []
    listen(pool, 3)
    assert told.killed == ["a"]


def test_a_coordinator_that_was_busy_or_asleep_does_not_take_its_own_pause_for_a_workers() -> None:
    """Seen to fail when silence is counted by the clock alone: between polls, or within one for want of
    ``LONGEST_POLL``."""
    told = Told("a")
    pool = attentive(told)
    told.tell("a")
    pool.poll(0.5)
    told.now += 10_000  # a checkpoint was written to a slow disk
    pool.poll(0.5)
    told.takes(10_000)  # the laptop slept
    pool.poll(0.5)
    assert told.killed == []


def test_tasks_that_wait_for_a_worker_are_not_silent() -> None:
    """Seen to fail when what was submitted counts as running."""
    told = Told()
    pool = attentive(told)
    pool.submit(Train(plans_for(blobs())[:1]), attempt=1)
    listen(pool, 1000)
    assert told.killed == []


def test_a_killed_task_is_given_time_to_close_and_then_killed_again() -> None:
    """Seen to fail when its silence is not counted anew after the kill: it was killed at every poll."""
    told = Told("a")
    pool = attentive(told)
    listen(pool, 100)
    assert told.killed == ["a"]
    listen(pool, 30)
    assert told.killed == ["a", "a"]


def test_an_attempt_after_one_that_was_ended_is_borne_with_for_longer() -> None:
    """Seen to fail without the doubling: on a busy machine, workers that took longer to their first word than
    ``--silence`` says were killed there at every attempt, and the run never ended."""
    told = Told("train/000")
    pool = attentive(told)
    task = Train(plans_for(blobs())[:1])
    pool.submit(task, attempt=1)
    listen(pool, 61)
    assert told.killed == ["train/000"]
    told.killed.clear()
    told.tell("train/000")
    pool.submit(task, attempt=2)
    listen(pool, 119)
    assert told.killed == []
    listen(pool, 3)
    assert told.killed == ["train/000"]


def test_long_epochs_show_signs_of_life_which_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail without ``Alive`` in the training loop."""
    data = blobs()
    (plan, _) = plans_for(data, dropout=0.3)
    quiet = list(train_member(plan, data))
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_SIGNS", 0.0)
    lively: list[Event] = list(train_member(plan, data))
    assert not any(isinstance(event, Alive) for event in quiet)
    first = next(index for index, event in enumerate(lively) if isinstance(event, Progress))
    assert sum(isinstance(event, Alive) for event in lively[:first]) == 5  # 72 rows in batches of 16
    for one, other in zip(weights(quiet), weights(lively), strict=True):
        assert one.tobytes() == other.tobytes()


def weights(events: list[Event]) -> list[Any]:
    (found,) = [event.weights for event in events if isinstance(event, Predictor)]
    assert found is not None
    return list(found.values())


def test_a_score_that_takes_long_is_no_hang() -> None:
    """Seen to fail without the exception for ``score/``: a long batch-norm refresh was killed at every attempt."""
    killed: list[str] = []

    class Quiet:
        workers = 1

        def poll(self, timeout: float) -> list[Message]:
            clock[0] += 1.0
            return []

        def running(self) -> list[str]:
            return ["score/averaged", "train/000"]

        def kill(self, key: str) -> None:
            killed.append(key)

    clock = [0.0]
    pool = AttentivePool(Quiet(), least=60.0, clock=lambda: clock[0])  # type: ignore[arg-type]
    for _ in range(100):
        pool.poll(1.0)
    assert set(killed) == {"train/000"}


def test_the_number_of_workers_is_that_of_now() -> None:
    """Seen to fail when it is copied at the start: nodes that joined later got no members."""
    told = Told()
    pool = attentive(told)
    told.workers = 5
    assert pool.workers == 5
