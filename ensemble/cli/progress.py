"""What a run tells while it goes: the state of every member, in plain lines or (``live.py``) a redrawn table.

An observer of a pool's messages. It only looks on: whatever goes wrong here, the run goes on.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, TextIO

from ensemble.cli.progress_state import Clock, MemberRow, ProgressState, clock_time, figure, members_of
from ensemble.config import Task
from ensemble.reports.printable import printable
from ensemble.runs.pool import Message
from ensemble.training.events import Diverged, Failed, Finished, Notice, Progress, Started

SECONDS_BETWEEN_LINES = 1.0
METRIC_NAMES: dict[Task, str] = {"classification": "accuracy", "regression": "RMSE"}


class View(Protocol):
    """Shows a state that has just taken a message in."""

    def start(self) -> None: ...
    def show(self, message: Message) -> None: ...
    def stop(self) -> None: ...


class PlainLines:
    """A line for every start, end, failure and notice; of the epochs at most one a second, with the overall state."""

    def __init__(self, state: ProgressState, *, metric: str, stream: TextIO, clock: Clock) -> None:
        self._state, self._metric, self._stream, self._clock = state, metric, stream, clock
        self._last_epoch_line = -math.inf

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def show(self, message: Message) -> None:
        if isinstance(message.event, Notice):
            print(printable(message.event.text), file=self._stream, flush=True)
        for member in members_of(message):
            line = self._line(self._state.members[member], message)
            if line:
                print(f"member {member:03d}  {line}", file=self._stream, flush=True)

    def _line(self, row: MemberRow, message: Message) -> str | None:
        match message.event:
            case Started(resumed_epoch=epoch):
                again = f", attempt {row.attempts}" if row.attempts > 1 else ""
                return f"started on {row.place}{again}" + (f", from epoch {epoch}" if epoch else "")
            case Progress() if self._clock() - self._last_epoch_line >= SECONDS_BETWEEN_LINES:
                self._last_epoch_line = self._clock()
                parts = [f"epoch {row.epoch}/{row.epochs}", f"loss {figure(row.loss)}"]
                if row.metric is not None:
                    parts.append(f"{self._metric} {figure(row.metric)}")
                parts.append(f"{figure(row.rows_per_second)} rows/s")
                return "  ".join(parts) + f"  [{self._state.overall}]"
            case Finished(seconds=seconds):
                return f"done in {clock_time(seconds)}  [{self._state.overall}]"
            case Failed() | Diverged():
                return f"{row.state}: {row.failure}" if row.failure else row.state
        return None


@contextmanager
def show_progress(
    *,
    members: int,
    epochs: int,
    task: Task,
    quiet: bool = False,
    finished: frozenset[int] = frozenset(),
    stream: TextIO | None = None,
    clock: Clock = time.monotonic,
) -> Iterator[Callable[[Message], None]]:
    """Show on standard error what a pool tells: redrawn on a terminal, else plain lines; or nothing.

    Args:
        members: Members that will be trained, numbered from 0.
        epochs: Epochs of each.
        task: Decides the name of the validation metric.
        quiet: Show nothing.
        finished: Members that an earlier session has trained.

    Yields:
        An observer to call with every message. It never raises: a display that fails says so once and ends.
    """
    if quiet:
        yield lambda message: None
        return
    stream = stream or sys.stderr
    state = ProgressState(members=members, epochs=epochs, finished=finished, clock=clock)
    observer = _Observer(state, _view(state, METRIC_NAMES[task], stream, clock), stream)
    observer.attempt(observer.view.start)
    try:
        yield observer
    finally:
        observer.attempt(observer.view.stop)


def _view(state: ProgressState, metric: str, stream: TextIO, clock: Clock) -> View:
    if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from ensemble.cli.live import LiveTable  # rich, which plain lines can do without

        return LiveTable(state, metric=metric, stream=stream)
    return PlainLines(state, metric=metric, stream=stream, clock=clock)


class _Observer:
    """Takes messages in and shows them until showing fails; then it says so, once, and falls silent."""

    def __init__(self, state: ProgressState, view: View, stream: TextIO) -> None:
        self.state, self.view, self.stream = state, view, stream
        self.failed = False

    def __call__(self, message: Message) -> None:
        self.attempt(lambda: self.state.update(message))
        self.attempt(lambda: self.view.show(message))

    def attempt(self, action: Callable[[], None]) -> None:
        if self.failed:
            return
        try:
            action()
        except Exception as error:
            self.failed = True
            with suppress(Exception):
                self.view.stop()
            with suppress(Exception):
                print(f"progress is no longer shown: {type(error).__name__}: {error}", file=self.stream)
