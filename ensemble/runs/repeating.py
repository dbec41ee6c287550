"""A pool that tries its tasks again by itself: for tasks that leave nothing behind to go on from."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from ensemble.data.dataset import Dataset
from ensemble.runs.pool import Message, Pool
from ensemble.runs.retry import decide
from ensemble.training.events import Failed
from ensemble.training.tasks import Task


class RepeatingPool:
    """A `Pool` around another: of a failure only the last is told, when the rule of retries gives the task up."""

    def __init__(self, pool: Pool, *, retries: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.workers = pool.workers
        self._pool = pool
        self._retries = retries
        self._clock = clock
        self._tasks: dict[str, tuple[Task, int]] = {}
        self._later: list[tuple[float, str]] = []

    def submit(self, task: Task, *, attempt: int) -> None:
        self._tasks[task.key] = (task, attempt)
        self._pool.submit(task, attempt=attempt)

    def poll(self, timeout: float) -> list[Message]:
        for entry in [entry for entry in self._later if entry[0] <= self._clock()]:
            self._later.remove(entry)
            task, attempt = self._tasks[entry[1]]
            self.submit(task, attempt=attempt + 1)
        return [message for message in self._pool.poll(timeout) if not self._is_repeated(message)]

    def _is_repeated(self, message: Message) -> bool:
        if message.key not in self._tasks or message.attempt != self._tasks[message.key][1]:
            return True  # late word of an attempt that is over
        if not isinstance(message.event, Failed):
            return False
        decision = decide(message.event.cause, attempts=message.attempt, retries=self._retries)
        if decision.action == "retry":
            self._later.append((self._clock() + decision.delay, message.key))
        return decision.action == "retry"

    def share(self, data: Dataset) -> None:
        self._pool.share(data)

    def running(self) -> Collection[str]:
        return self._pool.running()

    def cancel(self, key: str) -> None:
        self._pool.cancel(key)

    def kill(self, key: str) -> None:
        self._pool.kill(key)

    def waiting(self) -> str | None:
        return self._pool.waiting()

    def describe(self) -> dict[str, Any]:
        return self._pool.describe()

    def close(self) -> None:
        self._pool.close()
