from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.combining.predictions import average, combine, regression_mixture, vote
from ensemble.errors import EnsembleError
from tests.evaluation.scenarios import probabilities

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 6), st.integers(1, 8), st.integers(2, 5))
def test_average_is_the_mean(seed: int, predictors: int, rows: int, classes: int) -> None:
    p, _ = probabilities(predictors, rows, classes, seed=seed)
    np.testing.assert_allclose(average(p), p.mean(axis=0), rtol=0, atol=1e-12)


@given(seeds)
def test_average_of_one_is_that_one_bit_for_bit(seed: int) -> None:
    p, _ = probabilities(1, 5, 3, seed=seed)
    assert (average(p) == p[0]).all()
    np.testing.assert_allclose(average(p, weights=[3]), p[0], rtol=1e-15)
    values = np.random.default_rng(seed).lognormal(8, 2, size=(1, 5, 2))
    assert (regression_mixture(values) == values[0]).all()


def test_average_sums_float32_in_float64_from_a_memory_map(tmp_path: Path) -> None:
    p, _ = probabilities(7, 40, 3, seed=1)
    np.save(tmp_path / "p.npy", p.astype(np.float32))
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    assert average(mapped).dtype == np.float64
    assert (average(mapped) == average(p.astype(np.float32).astype(np.float64))).all()
    assert (average(mapped, weights=[0, 1, 0, 2, 0, 0, 0]) == average(p.astype(np.float32)[[1, 3, 3]])).all()


def test_what_has_no_weight_is_not_looked_at() -> None:
    """Neither read, of thousands in a file, nor taken for a number: 0 · NaN is NaN."""
    p, _ = probabilities(4, 5, 3, seed=1)
    p[[0, 2]] = np.nan
    assert (average(p, weights=[0, 1, 0, 1]) == average(p[[1, 3]])).all()
    values = np.abs(p[:, :, :2])
    assert (regression_mixture(values, [0, 1, 0, 1]) == regression_mixture(values[[1, 3]])).all()


@given(seeds, st.integers(1, 6))
def test_counts_weigh_as_repetitions_do(seed: int, predictors: int) -> None:
    p, _ = probabilities(predictors, 6, 4, seed=seed)
    counts = np.random.default_rng(seed).integers(0, 4, predictors)
    counts[0] += 1
    np.testing.assert_allclose(average(p, counts), average(np.repeat(p, counts, axis=0)), atol=1e-12)
    values = np.random.default_rng(seed).lognormal(size=(predictors, 6, 2))
    repeated = np.repeat(values, counts, axis=0)
    np.testing.assert_allclose(regression_mixture(values, counts), regression_mixture(repeated), rtol=1e-10)


def test_vote_counts_and_breaks_ties_by_mean_probability_then_index() -> None:
    p = np.array(
        [  # majority        tie, 2 likelier     tie in all, lowest index
            [[0.6, 0.3, 0.1], [0.6, 0.0, 0.4], [0.5, 0.25, 0.25]],
            [[0.6, 0.3, 0.1], [0.1, 0.0, 0.9], [0.25, 0.5, 0.25]],
            [[0.0, 0.9, 0.1], [0.4, 0.5, 0.1], [0.25, 0.25, 0.5]],
        ]
    )
    found = vote(p)
    assert found.labels.tolist() == [0, 2, 0]
    np.testing.assert_allclose(found.shares[0], [2 / 3, 1 / 3, 0])
    assert found.tie_rate == pytest.approx(2 / 3)


@given(seeds, st.integers(1, 7), st.integers(2, 4))
def test_vote_has_only_labels_with_most_votes(seed: int, predictors: int, classes: int) -> None:
    p, _ = probabilities(predictors, 9, classes, seed=seed)
    found = vote(p)
    np.testing.assert_allclose(found.shares.sum(axis=1), 1, atol=1e-12)
    assert (found.shares[np.arange(9), found.labels] == found.shares.max(axis=1)).all()
    if predictors == 1:
        assert (found.labels == p[0].argmax(axis=1)).all()
        assert found.tie_rate == 0


@given(seeds, st.integers(1, 6))
def test_mixture_has_the_moments_of_the_formula(seed: int, predictors: int) -> None:
    values = np.random.default_rng(seed).lognormal(size=(predictors, 5, 2))
    mean = values[:, :, 0].mean(axis=0)
    variance = (values[:, :, 1] + values[:, :, 0] ** 2).mean(axis=0) - mean**2
    np.testing.assert_allclose(regression_mixture(values), np.stack([mean, variance], axis=1), rtol=1e-9)


def test_mixture_keeps_its_digits_far_from_zero() -> None:
    values = np.array([[[1e9, 1e-6]], [[1e9, 3e-6]]])
    np.testing.assert_allclose(regression_mixture(values), [[1e9, 2e-6]], rtol=1e-12)


def test_mixture_of_means_alone_is_their_mean() -> None:
    assert regression_mixture(np.array([[[1.0]], [[3.0]]])).tolist() == [[2.0]]


def test_combine_knows_both_tasks() -> None:
    values = np.array([[[1.0, 1.0]], [[3.0, 1.0]]])
    assert combine(values, task="classification").tolist() == [[2.0, 1.0]]
    assert combine(values, task="regression").tolist() == [[2.0, 2.0]]


@pytest.mark.parametrize("weights", [[1], [0, 0], [1, -1], [1, np.nan], [[1, 1]]])
def test_weights_that_cannot_weigh_are_refused(weights: list[float]) -> None:
    with pytest.raises(EnsembleError, match="weights"):
        average(np.ones((2, 1, 2)), weights)


@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 2)])
def test_predictions_of_no_predictor_or_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    for combiner in (average, vote, regression_mixture):
        with pytest.raises(EnsembleError, match="predictors, rows, outputs"):
            combiner(np.ones(shape))


def test_mixture_refuses_three_columns() -> None:
    with pytest.raises(EnsembleError, match="not 3"):
        regression_mixture(np.ones((2, 1, 3)))
