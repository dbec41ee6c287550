"""The state of every member of a run, from what its pool tells; draws nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from ensemble.reports.printable import printable
from ensemble.runs.pool import Message
from ensemble.training.events import Diverged, Failed, Finished, Progress, Started

Clock = Callable[[], float]


@dataclass(frozen=True)
class MemberRow:
    """What is known of one member."""

    index: int
    epochs: int
    state: Literal["waiting", "running", "done", "failed", "diverged", "cancelled"] = "waiting"
    attempts: int = 0
    epoch: int = 0
    loss: float | None = None
    metric: float | None = None
    rows_per_second: float | None = None
    place: str = ""
    """Where it runs: device, host and process."""
    failure: str = ""
    """The first line of what went wrong last."""

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do, unless it is tried again."""
        return self.state not in ("waiting", "running")


class ProgressState:
    """The state of every member, from the messages so far; draws nothing.

    Time left supposes that the epochs to come go by as fast as those that were seen.
    """

    def __init__(
        self,
        *,
        members: int,
        epochs: int,
        finished: frozenset[int] = frozenset(),
        clock: Clock = time.monotonic,
    ) -> None:
        self.members = [
            MemberRow(index, epochs, state="done" if index in finished else "waiting")
            for index in range(members)
        ]
        self._clock = clock
        self._attempts: dict[str, int] = {}
        self._began: float | None = None
        self._last = 0.0
        self._epochs_seen = 0

    def update(self, message: Message) -> None:
        """Take a message in; one of an attempt that another has replaced is ignored."""
        if message.attempt < self._attempts.get(message.key, message.attempt):
            return
        self._attempts[message.key] = message.attempt
        match message.event:
            case Started() as event:
                self._began = self._clock() if self._began is None else self._began
                self._change(
                    event.member,
                    state="running",
                    attempts=self.members[event.member].attempts + 1,
                    epoch=event.resumed_epoch,
                    place=printable(f"{event.device} · {event.host} {event.pid}"),
                )
            case Progress() as event:
                self._epochs_seen += 1
                self._last = self._clock()
                self._change(
                    event.member,
                    epoch=event.epoch,
                    epochs=event.epochs,
                    loss=event.loss,
                    metric=event.metric,
                    rows_per_second=event.rows / event.seconds if event.seconds > 0 else None,
                )
            case Finished(member=member):
                self._change(member, state="done")
            case Diverged(member=member, evidence=evidence):
                self._change(member, state="diverged", failure=first_line(evidence))
            case Failed(cause=cause, evidence=evidence):
                state = "cancelled" if cause == "cancelled" else "failed"
                failure = first_line(evidence) if state == cause else f"{cause}, {first_line(evidence)}"
                for member in members_of(message):
                    if self.members[member].state not in ("done", "diverged"):
                        self._change(member, state=state, failure=failure)

    def _change(self, member: int, **values: Any) -> None:
        # A row is replaced whole: the drawing thread sees the old one or the new one, never half of each.
        self.members[member] = replace(self.members[member], **values)

    def count(self, state: str) -> int:
        """Members in a state."""
        return sum(row.state == state for row in self.members)

    @property
    def settled(self) -> int:
        """Members of which nothing is left to do."""
        return sum(row.settled for row in self.members)

    @property
    def fraction(self) -> float:
        """Of the epochs of all members, how many are over; a settled member has none left."""
        return sum(1.0 if row.settled else row.epoch / row.epochs for row in self.members) / len(self.members)

    @property
    def seconds_left(self) -> float | None:
        """Time until the last epoch; None before the first one is over."""
        if self._began is None or self._last <= self._began:
            return None
        remaining = sum(0 if row.settled else row.epochs - row.epoch for row in self.members)
        seconds_an_epoch = (self._last - self._began) / self._epochs_seen
        return max(0.0, remaining * seconds_an_epoch - (self._clock() - self._last))

    @property
    def overall(self) -> str:
        """``2/5 members done, 1 failed, 0:41 left``."""
        parts = [f"{self.count('done')}/{len(self.members)} members done"]
        parts += [f"{n} {state}" for state in ("failed", "diverged", "cancelled") if (n := self.count(state))]
        if self.settled == len(self.members):
            parts.append("combining")
        elif (seconds := self.seconds_left) is not None:
            parts.append(f"{clock_time(seconds)} left")
        return ", ".join(parts)


def members_of(message: Message) -> tuple[int, ...]:
    """The members a message speaks of; those of a whole stack, where a failure names none."""
    if message.event is None:
        return ()
    member = getattr(message.event, "member", None)
    if member is not None:
        return (member,)
    kind, _, names = message.key.partition("/")
    return tuple(int(name) for name in names.split("+")) if kind == "train" else ()


def first_line(evidence: str) -> str:
    """The line that says what happened; of a traceback, the exception's own."""
    lines = printable(evidence).splitlines()
    heads = [
        number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")
    ]
    if heads:
        lines = [line for line in lines[heads[-1] + 1 :] if not line.startswith(" ")] or lines
    return next((line.strip() for line in lines if line.strip()), "no evidence")


def clock_time(seconds: float) -> str:
    """``0.3 s``, ``0:41``, ``12:05``, ``1:02:03``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def figure(value: float | None) -> str:
    """Four digits: ``0.9123``, ``12.35``, ``48,210``; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}"
