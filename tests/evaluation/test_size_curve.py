from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from ensemble.combining.predictions import Array, Task, combine
from ensemble.evaluation import size_curve as module
from ensemble.evaluation.metrics import METRICS, metrics
from ensemble.evaluation.pooled import pool
from ensemble.evaluation.size_curve import orders, prefixes, size_curve, sizes
from tests.evaluation.scenarios import gaussians, probabilities


def curve_of(values: Array, y: Array, task: Task, *, seed: int = 0) -> list[dict[str, Any]]:
    return size_curve(values, y, task=task, seed=seed, single=pool(values, y, task=task).metrics)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_few_predictors_are_evaluated_over_all_subsets(task: Task) -> None:
    values, y = probabilities(4, 30, 3) if task == "classification" else gaussians(4, 30)
    curve = curve_of(values, y, task)
    assert [entry["predictors"] for entry in curve] == [1, 2, 3, 4]
    assert [entry["subsets"] for entry in curve] == [4, 6, 4, 1]
    for size, entry in enumerate(curve, start=1):
        every = [
            metrics(combine(values[list(subset)], task=task), y, task=task)
            for subset in combinations(range(4), size)
        ]
        for name in METRICS[task]:
            found = [one[name] for one in every]
            assert entry[name] == pytest.approx(np.mean(found), rel=1e-10)  # type: ignore[arg-type]
            assert entry["sd"][name] == pytest.approx(np.std(found), abs=1e-10)  # type: ignore[arg-type]


def test_more_predictors_are_sampled_but_the_ends_are_exact() -> None:
    p, y = probabilities(30, 50, 3)
    curve = curve_of(p, y, "classification")
    assert [entry["predictors"] for entry in curve] == list(range(1, 31))
    assert {entry["subsets"] for entry in curve[1:-1]} == {module.SUBSETS}
    singles = [metrics(one, y, task="classification")["nll"] for one in p]
    assert curve[0]["nll"] == pytest.approx(np.mean(singles))  # type: ignore[arg-type]
    assert curve[-1]["nll"] == metrics(combine(p, task="classification"), y, task="classification")["nll"]
    assert curve[-1]["sd"]["nll"] == 0
    assert curve[0]["nll"] > curve[9]["nll"] > curve[-1]["nll"]


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_prefixes_are_the_combined_first_predictors(task: Task) -> None:
    values, _ = probabilities(6, 20, 3) if task == "classification" else gaussians(6, 20)
    order = orders(6, 1, seed=3)[0]
    found = list(prefixes(values, order, task=task, wanted=range(1, 6)))
    assert [size for size, _ in found] == [1, 2, 3, 4, 5]
    for size, combined in found:
        np.testing.assert_allclose(combined, combine(values[order[:size]], task=task), rtol=1e-10)


def test_prefixes_of_means_alone() -> None:
    values, _ = gaussians(4, 10, 1)
    for size, combined in prefixes(values, np.arange(4), task="regression", wanted=range(1, 5)):
        np.testing.assert_allclose(combined, values[:size].mean(axis=0), rtol=1e-12)


def test_a_metric_without_meaning_has_none_in_the_curve() -> None:
    values, y = gaussians(3, 10, 1)
    curve = curve_of(values, y, "regression")
    assert curve[0]["nll"] is None
    assert curve[0]["sd"]["nll"] is None


def test_the_seed_decides() -> None:
    p, y = probabilities(9, 20, 3)
    curves = [curve_of(p, y, "classification", seed=seed) for seed in (1, 1, 2)]
    assert curves[0] == curves[1] != curves[2]


def test_many_sizes_are_thinned_geometrically() -> None:
    assert sizes(5, 100) == [1, 2, 3, 4, 5]
    found = sizes(1000, 12)
    assert found[0] == 1
    assert found[-1] == 1000
    assert len(found) <= 12
    assert found == sorted(set(found))


def test_of_very_many_predictors_large_subsets_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of sums grows as the number of predictors, not as twenty times it."""
    monkeypatch.setattr(module, "MANY", 10)
    p, y = probabilities(40, 20, 3)
    curve = {entry["predictors"]: entry for entry in curve_of(p, y, "classification")}
    assert {curve[size]["subsets"] for size in range(2, 11)} == {module.SUBSETS}
    assert {curve[size]["subsets"] for size in range(11, 40)} == {module.WHOLE}
    assert curve[40]["subsets"] == 1
    monkeypatch.undo()
    assert [entry["accuracy"] for entry in curve_of(p, y, "classification")[:10]] == [
        curve[size]["accuracy"] for size in range(1, 11)
    ]
