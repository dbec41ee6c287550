"""Bins and intervals against the figures they must add up to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.evaluation.metrics import covered_rows, expected_calibration_error
from ensemble.evaluation.reliability import coverage_curve, reliability
from tests.evaluation.scenarios import gaussians, probabilities


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(2, 6))
def test_the_bins_add_up_to_the_ece(seed: int, rows: int, classes: int) -> None:
    (p,), y = probabilities(1, rows, classes, seed=seed)
    bins = reliability(p, y)
    assert sum(one["rows"] for one in bins) == rows
    ece = sum(one["rows"] * abs(one["accuracy"] - one["confidence"]) for one in bins) / rows
    assert ece == pytest.approx(expected_calibration_error(p, y), abs=1e-10)


def test_a_bin_holds_its_rows_between_its_ends() -> None:
    (p,), y = probabilities(1, 500, 4)
    for one in reliability(p, y):
        assert one["low"] < one["confidence"] <= one["high"] + 1e-12
        assert one["ci95"][0] <= one["accuracy"] <= one["ci95"][1]


def test_the_last_point_of_the_coverage_is_that_of_the_95_percent_interval() -> None:
    (values,), y = gaussians(1, 300)
    curve = coverage_curve(values, y)
    assert curve[-1]["nominal"] == 0.95
    assert curve[-1]["achieved"] == covered_rows(values, y).mean()
    achieved = [one["achieved"] for one in curve]
    assert achieved == sorted(achieved)


def test_a_normal_distribution_is_covered_as_promised() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(5, 3, 40_000)
    values = np.stack([np.full(len(y), 5.0), np.full(len(y), 9.0)], axis=1)
    for one in coverage_curve(values, y):
        assert one["achieved"] == pytest.approx(one["nominal"], abs=0.01)
