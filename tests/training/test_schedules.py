"""Learning rates by their formulas, and where snapshots fall."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.config import TrainConfig
from ensemble.errors import UsageError
from ensemble.training.schedules import learning_rate, snapshot_steps


def train(**options: object) -> TrainConfig:
    return TrainConfig.model_validate({"lr": 0.1, **options})


def test_constant_stays() -> None:
    assert {learning_rate(train(schedule="constant"), t, 50) for t in range(50)} == {0.1}


def test_cosine_falls_from_the_peak_by_its_formula() -> None:
    rates = [learning_rate(train(schedule="cosine"), t, 100) for t in range(100)]
    assert rates[0] == 0.1
    assert rates[50] == pytest.approx(0.05)
    assert rates[25] == pytest.approx(0.1 / 2 * (math.cos(math.pi / 4) + 1))
    assert rates == sorted(rates, reverse=True)


def test_linear_stays_for_half_the_run_then_falls_to_nothing() -> None:
    rates = [learning_rate(train(schedule="linear"), t, 100) for t in range(100)]
    assert set(rates[:51]) == {0.1}
    assert rates[75] == pytest.approx(0.05)
    assert rates[99] == pytest.approx(0.002)


def test_onecycle_rises_to_the_peak_then_falls() -> None:
    rates = [learning_rate(train(schedule="onecycle"), t, 100) for t in range(100)]
    assert rates[0] == pytest.approx(0.1 / 25)
    assert max(rates) == rates[30] == pytest.approx(0.1)
    assert rates[99] < 0.001


@given(cycles=st.integers(1, 20), steps=st.integers(40, 500))
def test_each_cycle_begins_at_the_peak_and_ends_annealed(cycles: int, steps: int) -> None:
    config = train(schedule="cyclic", snapshots=cycles)
    ends = snapshot_steps(config, steps)
    assert len(ends) == cycles
    assert ends[-1] == steps
    begins = [0, *ends[:-1]]
    for begin, end in zip(begins, ends, strict=True):
        rates = [learning_rate(config, t, steps) for t in range(begin, end)]
        assert rates[0] == pytest.approx(0.1)
        assert rates == sorted(rates, reverse=True)
        assert rates[-1] == pytest.approx(0.05 * (math.cos(math.pi * (1 - 1 / (end - begin))) + 1))


@given(snapshots=st.integers(1, 30), steps=st.integers(60, 500))
def test_dense_snapshots_are_distinct_steps_of_the_last_half(snapshots: int, steps: int) -> None:
    at = snapshot_steps(train(schedule="cosine", snapshots=snapshots), steps)
    assert len(set(at)) == snapshots
    assert at[-1] == steps
    assert min(at) > steps // 2


def test_more_snapshots_than_steps_are_refused() -> None:
    with pytest.raises(UsageError, match="30 snapshots, but the last half of the run has only 20 steps"):
        snapshot_steps(train(schedule="constant", snapshots=30), 40)


def test_a_cycle_of_one_step_is_refused() -> None:
    with pytest.raises(UsageError, match="a cycle needs at least two steps"):
        snapshot_steps(train(schedule="cyclic", snapshots=6), 11)
