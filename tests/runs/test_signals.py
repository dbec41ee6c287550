"""Signals become exceptions of ours, whoever was at work when they came."""

from __future__ import annotations

import os
import signal

import pytest

from ensemble.runs.signals import Interrupted, signals_raise


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_block_with_its_exit_code(number: int, code: int) -> None:
    """Seen to fail when the handlers are not put back."""
    before = signal.getsignal(number)
    with (
        pytest.raises(Interrupted, match=f"stopped by {signal.Signals(number).name}") as stopped,
        signals_raise(),
    ):
        os.kill(os.getpid(), number)
    assert stopped.value.exit_code == code
    assert signal.getsignal(number) is before


def test_a_call_that_swallows_the_exception_does_not_lose_the_signal() -> None:
    """Ray's do. Seen to fail without the conversion in ``signals_raise``: SIGTERM ended with exit code 130 and no
    advice."""

    def swallow() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Interrupted:
            raise KeyboardInterrupt from None

    with pytest.raises(KeyboardInterrupt) as stopped, signals_raise():
        swallow()
    assert isinstance(stopped.value, Interrupted)
    assert stopped.value.exit_code == 143


def test_a_second_interrupt_breaks_off_the_orderly_end_and_a_second_sigterm_does_not() -> None:
    """Seen to fail when the first signal does not have SIGTERM ignored, and when it has SIGINT ignored too."""
    steps: list[str] = []

    def orderly_end() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        steps.append("closed")
        os.kill(os.getpid(), signal.SIGINT)
        steps.append("not reached")

    def run() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            orderly_end()

    with pytest.raises(Interrupted), signals_raise():
        run()
    assert steps == ["closed"]
