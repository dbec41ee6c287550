from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.errors import UsageError
from ensemble.merging.parameters import Weights
from ensemble.merging.soups import greedy


def network(value: float) -> Weights:
    return {"w": np.array([value], np.float32)}


def near_zero(weights: Weights) -> float:
    return -abs(float(weights["w"][0]))


def soup_of(*values: float) -> tuple[float, tuple[int, ...]]:
    networks = [network(value) for value in values]
    soup = greedy(networks, scores=[near_zero(one) for one in networks], score=near_zero)
    return float(soup.weights["w"][0]), soup.chosen


def test_a_greedy_soup_takes_what_helps_and_leaves_what_hurts() -> None:
    assert soup_of(5, 2, -2, 3) == (0, (1, 2))
    assert soup_of(1, 3, 8) == (1, (0,))


def test_what_makes_no_difference_is_kept_and_ties_go_to_the_lower_index() -> None:
    assert soup_of(2, 2, 2) == (2, (0, 1, 2))


@settings(deadline=None)
@given(values=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=8))
def test_a_greedy_soup_is_never_worse_than_its_best_ingredient(values: list[float]) -> None:
    worth, chosen = soup_of(*values)
    assert -abs(worth) >= max(-abs(value) for value in values)
    assert len(set(chosen)) == len(chosen)


def test_a_soup_that_cannot_be_scored_is_left() -> None:
    networks = [network(1), network(2)]
    soup = greedy(networks, scores=[1, 0], score=lambda weights: 1.0 if weights["w"] == 1 else math.nan)
    assert soup.chosen == (0,)


@pytest.mark.parametrize("scores", [[], [1.0, 2.0], [math.nan], [math.inf]])
def test_one_finite_score_for_each_network_is_needed(scores: list[float]) -> None:
    with pytest.raises(UsageError, match="one finite score"):
        greedy([network(1)], scores=scores, score=near_zero)


def test_nothing_makes_no_soup() -> None:
    with pytest.raises(UsageError, match="0 networks"):
        greedy([], scores=[], score=near_zero)
