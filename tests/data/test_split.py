"""Properties of the split: exact shares, disjoint, covering, a function of the seed alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.data.split import draw_stratified, split_rows
from ensemble.errors import DataError

STRATA = st.lists(st.integers(0, 6), min_size=1, max_size=120).map(
    lambda values: np.array(values, dtype=np.int64)
)
FRACTIONS = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 2**32)


@given(STRATA, FRACTIONS, SEEDS)
def test_each_class_gives_its_share_within_one_row_and_keeps_one(
    strata: np.ndarray, fraction: float, seed: int
) -> None:
    drawn = draw_stratified(strata, fraction, np.random.default_rng(seed))
    for label in np.unique(strata):
        count, taken = int((strata == label).sum()), int(drawn[strata == label].sum())
        assert abs(taken - count * Fraction(repr(fraction))) < 1
        assert taken < count


@given(STRATA, FRACTIONS, SEEDS, st.permutations(range(7)))
def test_draw_does_not_depend_on_the_order_of_classes(
    strata: np.ndarray, fraction: float, seed: int, names: list[int]
) -> None:
    renamed = np.array(names, dtype=np.int64)[strata]
    first = draw_stratified(strata, fraction, np.random.default_rng(seed))
    second = draw_stratified(renamed, fraction, np.random.default_rng(seed))
    assert np.array_equal(first, second)


@given(STRATA, FRACTIONS, st.floats(0, 0.9), SEEDS)
def test_parts_are_sorted_disjoint_covering_and_repeatable(
    strata: np.ndarray, test: float, valid: float, seed: int
) -> None:
    try:
        cut = split_rows(strata, test=test, valid=valid, seed=seed)
    except DataError:
        return
    parts = (cut.train, cut.valid, cut.test)
    assert all(part.dtype == np.int64 and np.all(np.diff(part) > 0) for part in parts)
    assert sorted(np.concatenate(parts)) == list(range(len(strata)))
    assert set(strata[cut.train]) == set(strata)
    again = split_rows(strata, test=test, valid=valid, seed=seed)
    assert all(
        np.array_equal(a, b) for a, b in zip(parts, (again.train, again.valid, again.test), strict=True)
    )


def test_known_answer_a_tenth_and_a_fifth_are_exact() -> None:
    strata = np.repeat([0, 1, 2], [50, 30, 20])
    cut = split_rows(strata, test=0.2, valid=0.1, seed=0)
    assert np.bincount(strata[cut.test]).tolist() == [10, 6, 4]
    assert np.bincount(strata[cut.valid]).tolist() in ([4, 2, 2], [4, 3, 1], [5, 2, 1])
    assert (len(cut.train), len(cut.valid), len(cut.test)) == (72, 8, 20)


def test_another_seed_draws_other_rows() -> None:
    strata = np.zeros(100, dtype=np.int64)
    assert not np.array_equal(
        split_rows(strata, test=0.2, valid=0, seed=0).test, split_rows(strata, test=0.2, valid=0, seed=1).test
    )


def test_fraction_held_out_does_not_change_the_test_rows() -> None:
    strata = np.arange(60) % 3
    assert np.array_equal(
        split_rows(strata, test=0.2, valid=0, seed=3).test,
        split_rows(strata, test=0.2, valid=0.3, seed=3).test,
    )


def test_test_rows_that_are_apart_follow_the_others() -> None:
    cut = split_rows(np.zeros(10, dtype=np.int64), test=4, valid=0, seed=0)
    assert cut.train.tolist() == list(range(10))
    assert cut.valid.tolist() == []
    assert cut.test.tolist() == [10, 11, 12, 13]


def test_small_fraction_draws_one_row() -> None:
    cut = split_rows(np.zeros(10, dtype=np.int64), test=0.01, valid=0.01, seed=0)
    assert (len(cut.valid), len(cut.test)) == (1, 1)


def test_class_of_one_row_is_never_drawn() -> None:
    strata = np.array([0] * 9 + [1])
    for seed in range(20):
        assert 9 in split_rows(strata, test=0.5, valid=0.5, seed=seed).train


def test_no_row_to_spare_is_refused() -> None:
    with pytest.raises(DataError, match=r"leaves no test row"):
        split_rows(np.arange(5), test=0.5, valid=0, seed=0)
    with pytest.raises(DataError, match=r"leaves no validation row.*--valid 0"):
        split_rows(np.arange(5), test=2, valid=0.5, seed=0)
