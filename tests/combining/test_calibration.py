from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.combining.calibration import (
    TEMPERATURES,
    Threshold,
    apply_temperature,
    conformal_intervals,
    conformal_sets,
    fit_conformal,
    fit_conformal_width,
    fit_temperature,
)
from ensemble.errors import EnsembleError
from ensemble.evaluation.metrics import nll_rows
from tests.evaluation.scenarios import probabilities

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.floats(0.1, 10))
def test_temperature_keeps_order_and_normalization(seed: int, temperature: float) -> None:
    p = probabilities(1, 6, 4, seed=seed)[0][0]
    scaled = apply_temperature(p, temperature)
    np.testing.assert_allclose(scaled.sum(axis=1), 1, atol=1e-12)
    assert (scaled.argmax(axis=1) == p.argmax(axis=1)).all()
    np.testing.assert_allclose(apply_temperature(p, 1.0), p, atol=1e-12)


def test_extreme_rows_neither_underflow_nor_gain_impossible_classes() -> None:
    p = np.array([[1.0, 0.0], [1e-300, 1e-300]])
    assert apply_temperature(p, 0.05).tolist() == [[1.0, 0.0], [0.5, 0.5]]


def test_fit_finds_the_temperature_that_was_applied() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2, size=(40_000, 4))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)
    assert fit_temperature(p, y) == pytest.approx(1, abs=0.03)
    assert fit_temperature(apply_temperature(p, 0.5), y) == pytest.approx(2, abs=0.06)


@given(seeds)
def test_fit_is_a_minimum(seed: int) -> None:
    p, y = probabilities(1, 40, 3, seed=seed, skill=0.5)
    best = fit_temperature(p[0], y)

    def nll(temperature: float) -> float:
        return float(nll_rows(apply_temperature(p[0], temperature), y).mean())

    for other in np.geomspace(*TEMPERATURES, 25):
        assert nll(best) <= nll(other) + 1e-6


def test_rows_all_right_stay_within_the_bounds() -> None:
    found = fit_temperature(np.array([[0.9, 0.1]] * 5), np.zeros(5, dtype=int))
    assert TEMPERATURES[0] <= found < 2 * TEMPERATURES[0]


def test_threshold_is_the_stated_order_statistic() -> None:
    p = np.stack([1 - np.arange(1, 10) / 10, np.arange(1, 10) / 10], axis=1)  # nonconformity .1, …, .9
    y = np.zeros(9, dtype=int)
    assert fit_conformal(p, y, coverage=0.8).value == pytest.approx(0.8)
    assert fit_conformal(p, y, coverage=0.9).value == pytest.approx(0.9)
    few = fit_conformal(p, y, coverage=0.95)
    assert few.value == np.inf
    assert conformal_sets(p, few).all()


def test_rounding_does_not_move_the_threshold() -> None:
    scores = np.arange(24) / 24
    p = np.stack([1 - scores, scores], axis=1)
    assert fit_conformal(p, np.zeros(24, dtype=int), coverage=0.28).value == pytest.approx(
        scores[6]
    )  # the 7th


@pytest.mark.parametrize("coverage", [0.6, 0.9])
def test_sets_cover_new_rows_as_stated_however_bad_the_network(coverage: float) -> None:
    rng = np.random.default_rng(1)
    covered = []
    for seed in range(400):
        p, y = probabilities(1, 40, 3, seed=seed, skill=0.3)
        p = p[0] ** 4 / (p[0] ** 4).sum(axis=1, keepdims=True)  # overconfident
        order = rng.permutation(40)
        threshold = fit_conformal(p[order[:19]], y[order[:19]], coverage=coverage)
        covered.append(conformal_sets(p[order[19:]], threshold)[np.arange(21), y[order[19:]]].mean())
    assert coverage - 0.02 < np.mean(covered) < coverage + 0.06


def test_sets_grow_with_coverage() -> None:
    p, y = probabilities(1, 200, 5, seed=2)
    smaller, larger = (
        conformal_sets(p[0], fit_conformal(p[0], y, coverage=coverage)) for coverage in (0.5, 0.9)
    )
    assert (larger | ~smaller).all()
    assert larger.sum() > smaller.sum()


def test_intervals_scale_with_sigma_and_without_variance_do_not() -> None:
    y = np.arange(1.0, 10)
    alone = fit_conformal_width(np.zeros((9, 1)), y, coverage=0.8)
    assert alone.value == 8
    assert conformal_intervals(np.array([[5.0]]), alone).tolist() == [[-3, 13]]
    scaled = fit_conformal_width(np.stack([np.zeros(9), np.full(9, 4.0)], axis=1), y, coverage=0.8)
    assert scaled == Threshold(value=4, coverage=0.8, rows=9)
    assert conformal_intervals(np.array([[5.0, 9.0]]), scaled).tolist() == [[-7, 17]]


def test_no_rows_or_an_impossible_coverage_are_refused() -> None:
    p, y = np.ones((0, 2)), np.empty(0, dtype=int)
    for fit in (fit_temperature, fit_conformal):
        with pytest.raises(EnsembleError, match="held-out rows"):
            fit(p, y)
    with pytest.raises(EnsembleError, match=r"not 1\.0"):
        fit_conformal(np.ones((1, 1)), np.zeros(1, dtype=int), coverage=1.0)
