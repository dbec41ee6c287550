"""A pool whose workers do as a test says: the coordinator cannot tell it from a real one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from ensemble.data.dataset import Dataset
from ensemble.runs.pool import Message
from ensemble.training.events import Event
from ensemble.training.tasks import Task, run_task

Behaviour = Callable[[Task, int, Iterator[Event]], Iterator[Event]]


class ScriptedPool:
    """Runs every task for real, and hands its events to ``behave(task, attempt, events)`` to meddle with."""

    def __init__(self, behave: Behaviour, *, workers: int = 2) -> None:
        self.workers = workers
        self.submitted: list[tuple[str, int, bool]] = []
        """Key, attempt, and whether the task came with a state."""
        self.closed = False
        self._behave = behave
        self._waiting: deque[tuple[Task, int]] = deque()
        self._running: list[tuple[Task, int, Iterator[Event]]] = []
        self._data: Dataset | None = None

    def share(self, data: Dataset) -> None:
        self._data = data

    def submit(self, task: Task, *, attempt: int) -> None:
        self.submitted.append((task.key, attempt, getattr(task, "state", None) is not None))
        self._waiting.append((task, attempt))

    def poll(self, timeout: float) -> list[Message]:
        assert self._data is not None
        while self._waiting and len(self._running) < self.workers:
            task, attempt = self._waiting.popleft()
            events = chain.from_iterable(run_task(task, self._data))
            self._running.append((task, attempt, self._behave(task, attempt, events)))
        messages = []
        for entry in list(self._running):
            event = next(entry[2], None)
            messages.append(Message(entry[0].key, entry[1], event))
            if event is None:
                self._running.remove(entry)
        return messages

    def running(self) -> list[str]:
        return [task.key for task, _, _ in self._running]

    def cancel(self, key: str) -> None:
        self._running = [entry for entry in self._running if entry[0].key != key]

    def kill(self, key: str) -> None:
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        return {"pool": "scripted", "workers": self.workers}

    def close(self) -> None:
        self.closed = True
