"""What tests of the coordinator share."""

from __future__ import annotations

from typing import Any

import pytest

from ensemble.runs import attempts
from ensemble.runs.retry import Decision


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried at once."""
    real = attempts.decide

    def at_once(*args: Any, **kwargs: Any) -> Decision:
        decision = real(*args, **kwargs)
        return Decision(decision.action, 0.0, decision.reason)

    monkeypatch.setattr(attempts, "decide", at_once)
