"""A pool whose hung workers are ended: told by silence, while somebody listened."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from ensemble.data.dataset import Dataset
from ensemble.runs.pool import Message, Pool
from ensemble.training.tasks import Task

Clock = Callable[[], float]

PATIENCE = 20.0
"""A worker is hung when it has been silent for so many times the longest pause that any worker made so far."""

MOST_DOUBLINGS = 4
"""A task that was ended may have been slow and not hung: each further attempt at it is borne with for twice as long, up
to 16 times. Otherwise it would end again where it ended before, until its retries are used up."""

LONGEST_POLL = 1.0
"""Seconds that one poll counts for at most. Where it took longer, this process itself was stopped, or at work on a
task of its own; and what arrives while nobody polls, because a checkpoint is being written, waits to be heard."""


class AttentivePool:
    """A `Pool` around another that kills tasks whose worker has fallen silent; they close with cause ``hung``.

    Only training is judged so: a ``Score`` says one word, at its end, however long its rows take.

    Workers say something at the end of an epoch and every few seconds within one. Silence is counted in time spent
    listening, so a coordinator that was busy or asleep never takes its own pause for a worker's.
    """

    def __init__(self, pool: Pool, *, least: float, clock: Clock = time.monotonic) -> None:
        """
        Args:
            pool: Where tasks run.
            least: Seconds of silence that are never taken for a hang.
            clock: Seconds from any origin.
        """
        self._pool = pool
        self._least = least
        self._clock = clock
        self._silent: dict[str, float] = {}
        self._longest = 0.0
        self._ended: set[str] = set()
        self._doublings: Counter[str] = Counter()

    @property
    def workers(self) -> int:
        return self._pool.workers

    def poll(self, timeout: float) -> list[Message]:
        began = self._clock()
        messages = self._pool.poll(timeout)
        listened = min(self._clock() - began, LONGEST_POLL)
        for message in messages:
            if message.key in self._silent:
                self._longest = max(self._longest, self._silent.pop(message.key) + listened)
        spoken = {message.key for message in messages}
        self._silent = {
            key: 0.0 if key in spoken else self._silent.get(key, 0.0) + listened for key in self.running()
        }
        for key, silence in self._silent.items():
            if not key.startswith("score/") and silence > max(self._least_of(key), PATIENCE * self._longest):
                self._pool.kill(key)
                self._silent[key] = 0.0
                self._ended.add(key)
        return messages

    def _least_of(self, key: str) -> float:
        return self._least * float(2 ** min(self._doublings[key], MOST_DOUBLINGS))

    def share(self, data: Dataset) -> None:
        self._pool.share(data)

    def submit(self, task: Task, *, attempt: int) -> None:
        if task.key in self._ended:
            self._ended.remove(task.key)
            self._doublings[task.key] += 1
        self._pool.submit(task, attempt=attempt)

    def running(self) -> Collection[str]:
        return self._pool.running()

    def cancel(self, key: str) -> None:
        self._pool.cancel(key)

    def kill(self, key: str) -> None:
        self._pool.kill(key)

    def describe(self) -> dict[str, Any]:
        return self._pool.describe()

    def close(self) -> None:
        self._pool.close()
