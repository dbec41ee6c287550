from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.combining.predictions import average
from ensemble.evaluation.decomposition import squared_decomposition, zero_one_decomposition
from ensemble.evaluation.metrics import squared_error_rows
from ensemble.evaluation.pooled import pool
from tests.evaluation.scenarios import gaussians, probabilities

seeds = st.integers(0, 2**32 - 1)
predictor_counts = st.integers(1, 6)


@given(seeds, predictor_counts)
def test_squared_losses_decompose(seed: int, predictors: int) -> None:
    p, y = probabilities(predictors, 10, 3, seed=seed)
    values, target = gaussians(predictors, 10, 1, seed=seed)
    for found in (
        squared_decomposition(pool(p, y, task="classification"), y),
        squared_decomposition(pool(values, target, task="regression"), target),
    ):
        assert found["error"] == pytest.approx(found["bias"] + found["variance"], abs=1e-10)
    mean = squared_error_rows(average(values), target).mean()
    assert found["bias"] == pytest.approx(mean, abs=1e-10)


@given(seeds, predictor_counts, st.integers(2, 4))
def test_zero_one_loss_decomposes(seed: int, predictors: int, classes: int) -> None:
    p, y = probabilities(predictors, 15, classes, seed=seed)
    found = zero_one_decomposition(pool(p, y, task="classification"), y)
    whole = found["bias"] + found["variance"] - found["variance_helpful"]
    assert found["error"] == pytest.approx(whole, abs=1e-10)
    assert found["error"] == pytest.approx((p.argmax(axis=2) != y).mean(), abs=1e-10)
    if predictors == 1:
        assert found["variance"] == found["variance_helpful"] == 0
