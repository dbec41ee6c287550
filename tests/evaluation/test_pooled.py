"""What predictors say together is what they say one by one, wherever a block of them ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.combining import scratch
from ensemble.combining.predictions import Array, Task, average, combine, vote
from ensemble.evaluation.metrics import brier_rows, metrics, score
from ensemble.evaluation.pooled import means_of_each, pool
from ensemble.evaluation.rejection import kept_means
from ensemble.evaluation.uncertainty import classification_uncertainty, regression_uncertainty
from tests.evaluation.scenarios import gaussians, probabilities

seeds = st.integers(0, 2**32 - 1)


def made(task: Task, predictors: int, rows: int, *, seed: int) -> tuple[Array, Array]:
    made = (
        probabilities(predictors, rows, 3, seed=seed)
        if task == "classification"
        else gaussians(predictors, rows)
    )
    return made[0].astype(np.float32), made[1]


@settings(max_examples=30)
@given(st.sampled_from(["classification", "regression"]), st.integers(1, 6), st.integers(1, 40), seeds)
def test_each_predictor_has_its_own_metrics_to_the_last_bit(
    task: Task, predictors: int, rows: int, seed: int
) -> None:
    values, y = made(task, predictors, rows, seed=seed)
    assert list(pool(values, y, task=task).metrics) == [metrics(one, y, task=task) for one in values]


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("block", [1, 100, 10**9])
def test_nothing_depends_on_where_a_block_ends(
    task: Task, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails where a block's sum is added as a whole: floating-point addition is not associative."""
    values, y = made(task, 7, 23, seed=1)
    whole = pool(values, y, task=task)
    monkeypatch.setattr(scratch, "BLOCK", block)
    found = pool(values, y, task=task)
    assert found.metrics == whole.metrics
    assert found.kept == whole.kept
    for name, rows in whole.scores.rows.items():
        assert np.array_equal(found.scores.rows[name], rows)  # type: ignore[arg-type]
    for a, b in (
        (found.mean, whole.mean),
        (found.aleatoric, whole.aleatoric),
        (found.variance, whole.variance),
    ):
        assert np.array_equal(a, b)  # type: ignore[arg-type]


def test_of_classes_it_is_what_the_plain_functions_say() -> None:
    p, y = made("classification", 5, 60, seed=3)
    found, plain = pool(p, y, task="classification"), classification_uncertainty(p)
    assert np.array_equal(found.mean, average(p))
    assert found.vote is not None
    assert np.array_equal(found.vote.labels, vote(p).labels)
    for name in ("total", "aleatoric", "epistemic"):
        assert np.array_equal(getattr(found.uncertainty, name), getattr(plain, name))
    curves = []
    for one in p:
        total = classification_uncertainty(one[None]).total
        assert total is not None
        curves.append(kept_means(total, score(one, y, task="classification").rows["accuracy"]))  # type: ignore[arg-type]
    assert found.kept == np.mean(curves, axis=0).tolist()


@pytest.mark.parametrize("outputs", [1, 2])
def test_of_numbers_it_is_what_the_plain_functions_say(outputs: int) -> None:
    values, y = gaussians(5, 60, outputs, seed=3)
    found, plain = pool(values, y, task="regression"), regression_uncertainty(values)
    assert np.array_equal(found.mean, combine(values, task="regression"))
    assert found.vote is None
    assert (found.kept is None) == (outputs == 1)
    assert np.array_equal(found.uncertainty.epistemic, plain.epistemic)
    for name in ("total", "aleatoric"):
        assert np.array_equal(getattr(found.uncertainty, name), getattr(plain, name))


@given(seeds, st.integers(1, 5))
def test_the_mean_member_has_the_mean_of_linear_metrics(seed: int, predictors: int) -> None:
    p, y = probabilities(predictors, 12, 3, seed=seed)
    found = pool(p, y, task="classification").scores.metrics()
    assert found["ece"] is None
    for name in ("accuracy", "nll", "brier"):
        values = [metrics(one, y, task="classification")[name] for one in p]
        assert found[name] == pytest.approx(np.mean(values), abs=1e-12)  # type: ignore[arg-type]


def test_means_of_each_predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    p, y = made("classification", 7, 23, seed=1)
    monkeypatch.setattr(scratch, "BLOCK", 2 * 23 * 3)
    assert means_of_each(brier_rows, p, y).tolist() == [brier_rows(one, y).mean() for one in p]
