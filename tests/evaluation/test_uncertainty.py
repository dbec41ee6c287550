from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr

from ensemble.combining import scratch
from ensemble.combining.predictions import average, regression_mixture
from ensemble.evaluation.metrics import brier_rows
from ensemble.evaluation.uncertainty import (
    classification_uncertainty,
    entropy,
    prediction_variance,
    regression_uncertainty,
)
from tests.evaluation.scenarios import gaussians, probabilities

seeds = st.integers(0, 2**32 - 1)
predictor_counts = st.integers(1, 6)


@given(seeds, predictor_counts, st.integers(2, 6))
def test_mutual_information_is_the_mean_divergence_and_bounded(
    seed: int, predictors: int, classes: int
) -> None:
    p, _ = probabilities(predictors, 10, classes, seed=seed)
    found = classification_uncertainty(p)
    assert found.total is not None
    assert found.aleatoric is not None
    np.testing.assert_allclose(found.total, found.aleatoric + found.epistemic, atol=1e-10)
    divergence = rel_entr(p, average(p)).sum(axis=2).mean(axis=0)
    np.testing.assert_allclose(found.epistemic, divergence, atol=1e-10)
    assert (found.epistemic >= 0).all()
    assert (found.epistemic <= min(np.log(classes), np.log(predictors)) + 1e-10).all()


def test_certain_members_that_disagree_reach_the_bound_with_zero_probabilities() -> None:
    found = classification_uncertainty(np.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    assert found.aleatoric is not None
    assert found.aleatoric[0] == 0
    assert found.epistemic[0] == pytest.approx(np.log(2))


def test_entropy_of_certainty_is_nothing_and_of_ignorance_the_logarithm() -> None:
    found = entropy(np.array([[[1, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]]], np.float32))
    np.testing.assert_allclose(found, [[0, np.log(4), np.log(2)]], rtol=1e-15)
    assert not np.signbit(found).any()
    assert np.isnan(entropy(np.array([np.nan, 1])))


@pytest.mark.parametrize("block", [10, 50, 10**6])
def test_uncertainty_is_the_same_wherever_a_block_ends(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    p, _ = probabilities(20, 5, 3, seed=0)
    whole = classification_uncertainty(p)
    monkeypatch.setattr(scratch, "BLOCK", block)
    for one, other in zip(vars(whole).values(), vars(classification_uncertainty(p)).values(), strict=True):
        assert np.array_equal(one, other)


@given(seeds, predictor_counts)
def test_total_variance_is_aleatoric_and_epistemic(seed: int, predictors: int) -> None:
    values, _ = gaussians(predictors, 8, seed=seed)
    found = regression_uncertainty(values)
    assert found.total is not None
    assert found.aleatoric is not None
    np.testing.assert_allclose(found.total, found.aleatoric + found.epistemic, atol=1e-10)
    np.testing.assert_allclose(found.total, regression_mixture(values)[:, 1], atol=1e-10)
    np.testing.assert_allclose(found.epistemic, values[:, :, 0].var(axis=0), atol=1e-10)


def test_without_variances_only_the_epistemic_part_is_known() -> None:
    found = regression_uncertainty(np.array([[[1.0]], [[3.0]]]))
    assert found.total is None
    assert found.aleatoric is None
    assert found.epistemic.tolist() == [1]


@given(seeds, predictor_counts, st.integers(2, 5))
def test_variance_is_the_gain_in_brier(seed: int, predictors: int, classes: int) -> None:
    p, y = probabilities(predictors, 10, classes, seed=seed)
    gain = np.mean([brier_rows(one, y) for one in p], axis=0) - brier_rows(average(p), y)
    np.testing.assert_allclose(prediction_variance(p), gain, atol=1e-10)


def test_one_predictor_does_not_vary() -> None:
    p, _ = probabilities(1, 3, 2)
    assert (prediction_variance(p) == 0).all()
