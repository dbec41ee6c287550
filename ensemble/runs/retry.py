"""What to do about a failure: a pure rule, tested without an actor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ensemble.training.events import Cause

LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class Decision:
    """``retry`` after ``delay`` seconds, or ``give_up`` on the member; ``reason`` goes to the log."""

    action: Literal["retry", "give_up"]
    delay: float
    reason: str


def decide(cause: Cause, *, attempts: int, retries: int) -> Decision:
    """Decide after ``attempts`` attempts have failed, the last one by ``cause``.

    Whatever may be the machine's fault is tried again, ``retries`` times, the wait doubling from one second.
    """
    if cause == "cancelled":
        return Decision("give_up", 0.0, "it was stopped")
    if attempts > retries:
        return Decision("give_up", 0.0, f"{attempts} attempts failed, and retries is {retries}")
    delay = min(LONGEST_WAIT, 2.0 ** min(attempts - 1, 10))
    return Decision("retry", delay, f"attempt {attempts} of at most {retries + 1} failed ({cause})")
