"""Where tasks run. A pool takes tasks and hands back what they tell, in the order it arrives."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from ensemble.data.dataset import Dataset
from ensemble.training.events import Event, Failed
from ensemble.training.tasks import Task, Train, run_task


@dataclass(frozen=True)
class Message:
    """An event of one attempt at one task; ``event`` None says that the attempt's stream has closed.

    A pool's own ``Notice`` belongs to no task: its key is empty.
    """

    key: str
    attempt: int
    event: Event | None


Observer = Callable[[Message], None]
"""Is shown every message, and changes nothing."""

POLL_SECONDS = 0.5
"""How long a poll waits for the first message, so that timers are looked at twice a second."""


class Tasks(Protocol):
    """Has tasks run. A failure is a message, never an exception through the coordinator's loop."""

    @property
    def workers(self) -> int:
        """Tasks that can run at once now; it may change while nodes come and go. More may be submitted, they wait."""

    def submit(self, task: Task, *, attempt: int) -> None:
        """Queue an attempt at a task."""

    def poll(self, timeout: float) -> list[Message]:
        """What has arrived; waits up to ``timeout`` seconds for the first message.

        Raises:
            ClusterLostError: the workers are gone all together.
        """


class Pool(Tasks, Protocol):
    """Runs tasks on workers of its own, which are watched, stopped and ended through it."""

    def share(self, data: Dataset) -> None:
        """Give every worker the data, once, before the first task."""

    def running(self) -> Collection[str]:
        """Keys of the tasks that workers have in hand; from these a word may be expected."""

    def cancel(self, key: str) -> None:
        """Stop a task; its stream closes with ``Failed(cause="cancelled")``."""

    def kill(self, key: str) -> None:
        """End the worker that runs a task and does not answer; its stream closes with ``Failed(cause="hung")``."""

    def describe(self) -> dict[str, Any]:
        """What the pool is, for the report: kind, workers, nodes, devices.

        ``at_once`` is how many members the hardware holds one beside the other, however many workers were asked for.
        """

    def close(self) -> None:
        """Stop all work and leave no process behind. Safe to call twice."""


class SerialPool:
    """Runs tasks one after the other in this process: the twin of every other pool, and the simplest to debug."""

    workers = 1

    def __init__(self, *, at_once: int = 1) -> None:
        """
        Args:
            at_once: Members that another pool would train at once on this machine, which decides their stacks.
        """
        self._at_once = at_once
        self._data: Dataset | None = None
        self._waiting: deque[tuple[Task, int]] = deque()
        self._running: tuple[Task, int, Iterator[Event]] | None = None
        self._cancelled: set[str] = set()

    def share(self, data: Dataset) -> None:
        self._data = data

    def submit(self, task: Task, *, attempt: int) -> None:
        self._waiting.append((task, attempt))

    def running(self) -> Collection[str]:
        return () if self._running is None else (self._running[0].key,)

    def cancel(self, key: str) -> None:
        if key in (*self.running(), *(task.key for task, _ in self._waiting)):
            self._cancelled.add(key)

    def kill(self, key: str) -> None:
        """The same as `cancel`: a task that hangs here hangs the caller too, so this is never too late."""
        self.cancel(key)

    def poll(self, timeout: float) -> list[Message]:
        if self._running is None:
            if not self._waiting:
                time.sleep(timeout)
                return []
            if self._data is None:
                raise RuntimeError("share(data) comes before the first task")
            task, attempt = self._waiting.popleft()
            self._running = (task, attempt, chain.from_iterable(run_task(task, self._data)))
        task, attempt, events = self._running
        try:
            if task.key in self._cancelled:
                self._cancelled.discard(task.key)
                event: Event | None = Failed(_member(task), "cancelled", "stopped by the coordinator")
                self._running = None
            else:
                event = next(events, None)
                if event is None:
                    self._running = None
        except Exception:
            event = Failed(_member(task), "raised", traceback.format_exc())
            self._running = None
        return [Message(task.key, attempt, event)]

    def describe(self) -> dict[str, Any]:
        return {"pool": "serial", "workers": 1, "at_once": self._at_once}

    def close(self) -> None:
        self._waiting.clear()
        self._running = None


def _member(task: Task) -> int | None:
    return task.plans[0].index if isinstance(task, Train) and len(task.plans) == 1 else None
