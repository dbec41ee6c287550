from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.combining.predictions import Task, combine
from ensemble.combining.selection import greedy
from ensemble.errors import EnsembleError
from ensemble.evaluation.metrics import loss_rows, metrics
from tests.evaluation.scenarios import gaussians, probabilities

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 6))
def test_classification_scores_are_those_of_the_weighted_average(seed: int, predictors: int) -> None:
    p, y = probabilities(predictors, 20, 3, seed=seed)
    found = greedy(p, y, task="classification")
    nll = metrics(combine(p, task="classification", weights=found.weights), y, task="classification")["nll"]
    assert found.scores[-1] == pytest.approx(nll, abs=1e-12)
    assert found.weights.tolist() == np.bincount(found.order, minlength=predictors).tolist()


@given(seeds, st.integers(1, 6), st.sampled_from([1, 2]))
def test_regression_scores_are_those_of_the_weighted_mixture(
    seed: int, predictors: int, outputs: int
) -> None:
    values, y = gaussians(predictors, 20, outputs, seed=seed)
    found = greedy(values, y, task="regression")
    key = "nll" if outputs == 2 else "rmse"
    mixed = metrics(combine(values, task="regression", weights=found.weights), y, task="regression")[key]
    assert found.scores[-1] == pytest.approx(mixed, rel=1e-9, abs=1e-9)


@given(seeds, st.sampled_from(["classification", "regression"]))
def test_it_starts_from_the_best_single_and_only_improves(seed: int, task: Task) -> None:
    made = probabilities(5, 15, 3, seed=seed) if task == "classification" else gaussians(5, 15, 2, seed=seed)
    found = greedy(*made, task=task)
    singles = [loss_rows(one, made[1], task=task).mean() for one in made[0]]
    assert found.order[0] == int(np.argmin(singles))
    assert found.scores[0] == pytest.approx(min(singles), rel=1e-9, abs=1e-9)
    assert all(after < before for before, after in zip(found.scores, found.scores[1:], strict=False))


def test_complementary_predictors_are_both_taken_and_a_copy_is_not() -> None:
    y = np.array([0, 1])
    p = np.array([[[0.9, 0.1], [0.6, 0.4]], [[0.9, 0.1], [0.6, 0.4]], [[0.4, 0.6], [0.1, 0.9]]])
    found = greedy(p, y, task="classification")
    assert found.weights[1] == 0
    assert found.weights[0] > 0
    assert found.weights[2] > 0


def test_of_equals_the_one_already_chosen_is_taken_again() -> None:
    errors = np.array([[-8.0, 1], [-5, 8], [-5, 2], [0, -7]])  # third: 1 and 2 lead to (−10, 3) and (−10, −3)
    found = greedy(errors[:, :, None], np.zeros(2), task="regression", rounds=3)
    assert found.order == (2, 3, 2)


def test_of_equals_never_chosen_the_first_is_taken() -> None:
    p, y = probabilities(1, 9, 3)
    assert greedy(p[[0, 0, 0]], y, task="classification").order == (0,)


def test_rounds_bound_it_and_impossible_rows_stay_finite() -> None:
    p, y = probabilities(6, 40, 3, seed=3)
    assert len(greedy(p, y, task="classification", rounds=1).order) == 1
    certain = np.array([[[0.0, 1.0]]])
    assert np.isfinite(greedy(certain, np.array([0]), task="classification").scores[0])


def test_no_rows_are_refused() -> None:
    with pytest.raises(EnsembleError, match="held-out rows"):
        greedy(np.ones((2, 0, 2)), np.empty(0, dtype=int), task="classification")
