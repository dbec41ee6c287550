from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.combining.predictions import Array, Task
from ensemble.evaluation import diversity as module
from ensemble.evaluation.diversity import disagreement, diversity, squared_difference
from ensemble.evaluation.pooled import pool
from tests.evaluation.scenarios import gaussians, probabilities

seeds = st.integers(0, 2**32 - 1)


def diversity_of(values: Array, y: Array, task: Task, members: tuple[int, ...]) -> dict[str, Any]:
    return diversity(values, pool(values, y, task=task), members=members)


@given(seeds, st.integers(1, 6), st.integers(1, 5))
def test_tables_are_what_a_loop_over_pairs_would_fill(seed: int, predictors: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, (predictors, 17))
    means = rng.normal(1000, 1, (predictors, 17))
    for i in range(predictors):
        for j in range(predictors):
            assert disagreement(labels)[i, j] == pytest.approx((labels[i] != labels[j]).mean(), abs=1e-12)
            assert squared_difference(means)[i, j] == pytest.approx(
                ((means[i] - means[j]) ** 2).mean(), abs=1e-9
            )


def test_normalized_by_the_mean_error() -> None:
    p = np.array([[[1, 0], [1, 0]], [[1, 0], [0, 1]]], dtype=float)
    found = diversity_of(p, np.array([0, 0]), "classification", (0, 1))
    assert found["disagreement"] == 0.5
    assert found["normalized"] == 0.5 / 0.25
    assert found["pairwise"] == [[0, 0.5], [0.5, 0]]
    assert diversity_of(p[:1], np.array([0, 0]), "classification", (0,))["normalized"] is None


def test_independent_errors_are_two_apart_and_copies_none() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 4000, 1))
    found = diversity_of(values, np.zeros(4000), "regression", tuple(range(6)))
    assert found["normalized"] == pytest.approx(2, abs=0.1)
    same = diversity_of(np.repeat(values[:1], 3, axis=0), np.zeros(4000), "regression", (0, 1, 2))
    assert same["normalized"] == pytest.approx(0, abs=1e-12)


def test_pairs_within_a_member_are_told_from_pairs_of_two() -> None:
    p = np.array([[[1, 0]], [[1, 0]], [[0, 1]]], dtype=float)
    found = diversity_of(p, np.array([0]), "classification", (4, 4, 9))
    assert found["within_member"] == 0
    assert found["between_members"] == 1
    assert found["disagreement"] == pytest.approx(2 / 3)


def test_one_predictor_differs_from_nobody() -> None:
    p, y = probabilities(1, 4, 3)
    found = diversity_of(p, y, "classification", (0,))
    assert found["disagreement"] is found["normalized"] is found["within_member"] is None
    assert found["pairwise"] == [[0]]


def test_no_error_at_all_normalizes_nothing() -> None:
    p = np.array([[[1, 0]], [[1, 0]]], dtype=float)
    assert diversity_of(p, np.array([0]), "classification", (0, 1))["normalized"] is None


def test_a_table_nobody_would_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_TABLE", 2)
    values, y = gaussians(3, 5)
    assert diversity_of(values, y, "regression", (0, 1, 2))["pairwise"] is None


@given(
    seeds,
    st.sampled_from(["classification", "regression"]),
    st.lists(st.integers(0, 3), min_size=2, max_size=9),
)
def test_sums_of_rows_are_what_the_table_of_pairs_says(seed: int, task: Task, members: list[int]) -> None:
    """However many predictors there are, no pair is left out or drawn."""
    many = len(members)
    values, y = (
        probabilities(many, 20, 3, seed=seed) if task == "classification" else gaussians(many, 20, seed=seed)
    )
    by_table = diversity_of(values, y, task, tuple(members))
    with mock.patch.object(module, "LARGEST_TABLE", 1):
        by_sums = diversity_of(values, y, task, tuple(members))
    for name in ("disagreement", "normalized", "within_member", "between_members"):
        assert by_sums[name] == pytest.approx(by_table[name], abs=1e-9), name
