from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.combining.predictions import Task, combine
from ensemble.errors import EnsembleError
from ensemble.evaluation.inputs import OutOfBag
from ensemble.evaluation.oob import combine_out_of_bag
from tests.evaluation.scenarios import gaussians, probabilities


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from(["classification", "regression"]))
def test_each_row_is_combined_over_the_members_that_never_saw_it(seed: int, members: int, task: Task) -> None:
    values, y = (
        probabilities(members, 12, 3, seed=seed)
        if task == "classification"
        else gaussians(members, 12, seed=seed)
    )
    unseen = np.random.default_rng(seed).random((members, 12)) < 0.37
    given_ = OutOfBag(
        rows=tuple(np.flatnonzero(one) for one in unseen),
        values=tuple(one[rows] for one, rows in zip(values, unseen, strict=True)),
        targets=y,
    )
    found = combine_out_of_bag(given_, task=task)
    assert found.rows.tolist() == np.flatnonzero(unseen.any(axis=0)).tolist()
    assert found.coverage == unseen.any(axis=0).mean()
    for at, row in enumerate(found.rows):
        expected = combine(values[unseen[:, row]][:, [row]], task=task)[0]
        np.testing.assert_allclose(found.values[at], expected, rtol=1e-10)


def test_rows_every_member_saw_are_left_out_not_counted_as_class_0() -> None:
    given_ = OutOfBag((np.array([1]),), (np.array([[0.0, 1.0]]),), np.array([0, 1, 0]))
    found = combine_out_of_bag(given_, task="classification")
    assert found.rows.tolist() == [1]
    assert found.coverage == pytest.approx(1 / 3)
    assert found.values.tolist() == [[0, 1]]


def test_no_row_was_ever_left_out() -> None:
    empty = OutOfBag((np.empty(0, dtype=int),), (np.empty((0, 2)),), np.array([0, 1]))
    found = combine_out_of_bag(empty, task="classification")
    assert found.coverage == 0
    assert found.values.shape == (0, 2)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([0, 0], "repeat"),
        ([0, 5], "0 to 5, but there are 3"),
        ([-1, 0], "-1 to 0"),
        ([0], "1 rows, but 2 predictions"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: list[int], says: str) -> None:
    given_ = OutOfBag((np.array(rows),), (np.ones((2, 2)) / 2,), np.array([0, 1, 0]))
    with pytest.raises(EnsembleError, match=says):
        combine_out_of_bag(given_, task="classification")
