from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    root_mean_squared_error,
)
from torchmetrics.functional.classification import multiclass_calibration_error

from ensemble.combining.predictions import average, vote
from ensemble.evaluation.metrics import (
    METRICS,
    brier_rows,
    covered_rows,
    expected_calibration_error,
    gaussian_nll_rows,
    loss_rows,
    metrics,
    nll_rows,
    score,
    score_vote,
)
from tests.evaluation.scenarios import gaussians, probabilities

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(3, 6))
def test_classification_agrees_with_scikit_learn(seed: int, classes: int) -> None:
    p, y = probabilities(1, 60, classes, seed=seed)
    found = metrics(p[0], y, task="classification")
    labels = range(classes)
    assert found["accuracy"] == pytest.approx(accuracy_score(y, p[0].argmax(axis=1)))
    assert found["nll"] == pytest.approx(log_loss(y, p[0], labels=labels), abs=1e-10)
    brier = brier_score_loss(y, p[0], labels=labels, scale_by_half=False)
    assert found["brier"] == pytest.approx(brier, abs=1e-10)


@given(seeds)
def test_ece_agrees_with_torchmetrics(seed: int) -> None:
    p, y = probabilities(1, 200, 4, seed=seed)
    other = multiclass_calibration_error(torch.tensor(p[0]), torch.tensor(y), num_classes=4, n_bins=15)
    assert expected_calibration_error(p[0], y) == pytest.approx(float(other), abs=1e-6)
    assert metrics(p[0], y, task="classification")["ece"] == pytest.approx(float(other), abs=1e-6)


def test_a_bin_holds_its_upper_edge_and_not_its_lower() -> None:
    confidence = np.array([3 / 15, np.nextafter(3 / 15, 1)])  # the third bin, the fourth
    p = np.stack([confidence, *[(1 - confidence) / 5] * 5], axis=1)
    found = score(p, np.zeros(2, dtype=int), task="classification")
    assert found.bin is not None
    assert found.bin.tolist() == [2, 3]
    certain = score(np.array([[1.0, 0.0]]), np.zeros(1, dtype=int), task="classification")
    assert certain.bin is not None
    assert certain.bin.tolist() == [14]


@given(seeds)
def test_regression_agrees_with_scikit_learn_and_scipy(seed: int) -> None:
    values, y = gaussians(1, 50, seed=seed)
    mean, sd = values[0, :, 0], np.sqrt(values[0, :, 1])
    found = metrics(values[0], y, task="regression")
    low, high = scipy.stats.norm(mean, sd).interval(0.95)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(y, mean), rel=1e-10)
    assert found["mae"] == pytest.approx(mean_absolute_error(y, mean), rel=1e-10)
    assert found["nll"] == pytest.approx(-scipy.stats.norm(mean, sd).logpdf(y).mean(), rel=1e-10)
    assert found["coverage95"] == pytest.approx(((low <= y) & (y <= high)).mean())


def test_means_without_a_variance_have_neither_likelihood_nor_coverage() -> None:
    values, y = gaussians(1, 5, 1)
    found = metrics(values[0], y, task="regression")
    assert found["nll"] is None
    assert found["coverage95"] is None
    assert found["rmse"] is not None
    assert (loss_rows(values[0], y, task="regression") == (values[0, :, 0] - y) ** 2).all()


def test_an_impossible_class_costs_a_bounded_loss() -> None:
    assert nll_rows(np.array([[0.0, 1.0]]), np.array([0]))[0] == pytest.approx(-np.log(1e-12))
    assert brier_rows(np.array([[0.0, 1.0]]), np.array([0]))[0] == 2


def test_float32_predictions_are_scored_in_float64() -> None:
    p, y = probabilities(1, 9, 3)
    narrow = p[0].astype(np.float32)
    assert (nll_rows(narrow, y) == nll_rows(narrow.astype(np.float64), y)).all()
    values, target = gaussians(1, 9)
    narrow = values[0].astype(np.float32)
    assert gaussian_nll_rows(narrow, target).dtype == covered_rows(narrow, target).dtype == np.float64


def test_votes_have_the_accuracy_of_their_labels_and_no_likelihood() -> None:
    p = np.array(
        [[[0.6, 0.4]], [[0.1, 0.9]]]
    )  # a tie that goes to class 1, which shares alone would give to 0
    found = score_vote(vote(p), np.array([1])).metrics()
    assert found == {"accuracy": 1, "nll": None, "brier": 0.5, "ece": 0.5}


@given(seeds, st.integers(1, 20))
def test_metrics_are_functions_of_the_means_of_columns(seed: int, rows: int) -> None:
    p, y = probabilities(1, rows, 3, seed=seed)
    values, target = gaussians(1, rows, seed=seed)
    for one in (score(p[0], y, task="classification"), score(values[0], target, task="regression")):
        np.testing.assert_allclose(one.columns().mean(axis=0), one.means(), atol=1e-12)
        assert tuple(one.metrics()) == METRICS[one.task]


@given(seeds, st.integers(1, 6), st.integers(2, 5))
def test_the_average_is_no_worse_than_the_mean_member(seed: int, predictors: int, classes: int) -> None:
    p, y = probabilities(predictors, 20, classes, seed=seed)
    mean = average(p)
    assert nll_rows(mean, y).mean() <= np.mean([nll_rows(one, y).mean() for one in p]) + 1e-10
    assert brier_rows(mean, y).mean() <= np.mean([brier_rows(one, y).mean() for one in p]) + 1e-10
