"""The table of failures and decisions."""

from __future__ import annotations

from typing import get_args

import pytest

from ensemble.runs.retry import LONGEST_WAIT, decide
from ensemble.training.events import Cause


@pytest.mark.parametrize("cause", [c for c in get_args(Cause) if c != "cancelled"])
def test_what_may_be_the_machines_fault_is_tried_again(cause: Cause) -> None:
    assert decide(cause, attempts=1, retries=2).action == "retry"
    assert decide(cause, attempts=2, retries=2).action == "retry"
    assert decide(cause, attempts=3, retries=2).action == "give_up"
    assert decide(cause, attempts=1, retries=0).action == "give_up"


def test_what_was_stopped_is_not_begun_again() -> None:
    assert decide("cancelled", attempts=1, retries=9).action == "give_up"


def test_waits_double_up_to_a_bound() -> None:
    waits = [decide("died", attempts=n, retries=99).delay for n in range(1, 12)]
    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) == LONGEST_WAIT
