"""Tasks that are tried again by themselves: those that leave nothing behind to go on from."""

from __future__ import annotations

import time
from collections.abc import Callable

from ensemble.runs.pool import Message, Tasks
from ensemble.runs.retry import decide
from ensemble.training.events import Failed, Notice
from ensemble.training.tasks import Task


class RepeatingPool:
    """Of a failure only the last is told, when the rule of retries gives the task up."""

    def __init__(self, pool: Tasks, *, retries: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._retries = retries
        self._clock = clock
        self._tasks: dict[str, tuple[Task, int]] = {}
        self._later: list[tuple[float, str]] = []

    @property
    def workers(self) -> int:
        return self._pool.workers

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
        if isinstance(message.event, Notice):
            return False
        if message.key not in self._tasks or message.attempt != self._tasks[message.key][1]:
            return True  # late word of an attempt that is over
        if not isinstance(message.event, Failed):
            return False
        decision = decide(message.event.cause, attempts=message.attempt, retries=self._retries)
        if decision.action == "retry":
            self._later.append((self._clock() + decision.delay, message.key))
        return decision.action == "retry"
