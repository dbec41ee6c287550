"""Signals that end a run: each becomes an exception in the main thread, so that everything is closed on the way out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """The run was told to end; the number of the signal decides the exit code, 128 + number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


@contextmanager
def signals_raise() -> Iterator[None]:
    """While the block runs, SIGINT and SIGTERM raise `Interrupted`. Outside the main thread nothing is changed.

    The first signal begins an orderly end; until that is over a second SIGINT interrupts it again, a second SIGTERM is
    too late to matter.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        received.append(number)
        raise Interrupted(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt as stopped:
        if received and not isinstance(stopped, Interrupted):
            # Ray's calls swallow what a handler raises, and raise a KeyboardInterrupt whatever the signal was.
            raise Interrupted(received[0]) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
