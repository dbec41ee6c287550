"""Task, classes and labels: decided once, the same for rows that come later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.data.arrays import part_of
from ensemble.data.raw import Part, rows_of
from ensemble.data.targets import learn_targets, listed, match_targets
from ensemble.errors import DataError


def part(y: Any) -> Part:
    return part_of(np.zeros((len(y), 1)), np.asarray(y), name="it", where=rows_of("it"))[0]


@pytest.mark.parametrize(
    ("y", "task", "classes"),
    [
        (["b", "a", "b"], "classification", ("a", "b")),
        ([True, False, True], "classification", ("False", "True")),
        ([10, 2, 10], "classification", ("2", "10")),
        ([0.0, 1.0, 0.0], "regression", ()),
        ([*range(101), 0], "regression", ()),
        ([*range(100), 0], "classification", tuple(map(str, range(100)))),
    ],
)
def test_auto_task(y: Any, task: str, classes: tuple[str, ...]) -> None:
    targets = learn_targets(part(y), "auto")
    assert (targets.task, targets.classes) == (task, classes)
    assert targets.notes[0].startswith(f"task: {task}")
    assert targets.y.dtype == (np.int64 if task == "classification" else np.float64)


def test_task_can_be_asked_for() -> None:
    assert learn_targets(part([3, 1, 2, 3]), "regression").y.tolist() == [3.0, 1.0, 2.0, 3.0]
    whole = learn_targets(part([0.0, 2.0, 0.0]), "classification")
    assert (whole.classes, whole.y.tolist()) == (("0", "2"), [0, 1, 0])
    with pytest.raises(DataError, match=r"row 1 of it .* target 0.5, which is no class"):
        learn_targets(part([0.0, 0.5, 1.0]), "classification")
    with pytest.raises(DataError, match=r"row 0 of it .* target 'a', but regression needs numbers"):
        learn_targets(part(["a", "b"]), "regression")


def test_gaps_and_negative_labels_are_mapped_and_said() -> None:
    targets = learn_targets(part([7, -1, 3, 7]), "auto")
    assert targets.classes == ("-1", "3", "7")
    assert targets.y.tolist() == [2, 0, 1, 2]
    assert targets.notes[1] == "labels '-1', '3', '7' are the classes 0 to 2, in that order"
    assert len(learn_targets(part([0, 1, 0]), "auto").notes) == 1


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a", "a"], "all 2 rows have the class 'a'"),
        ([5, 5, 5], "all 3 rows have the class '5'"),
        ([5.0, 5.0], "all 2 targets are 5"),
        ([1, 2, 3], "each of the 3 rows has a class of its own .*--task regression"),
    ],
)
def test_nothing_to_learn_is_refused(y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        learn_targets(part(y), "auto")


def test_no_targets_are_refused() -> None:
    with pytest.raises(DataError, match=r"row 0 of it .* has no target"):
        learn_targets(Part(np.zeros((2, 1)), None, rows_of("it")), "auto")


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=20),
    st.lists(st.integers(-5, 5), min_size=1, max_size=20),
)
def test_labels_mean_the_same_in_other_rows(first: list[int], second: list[int]) -> None:
    try:
        classes = learn_targets(part(first), "classification").classes
    except DataError:
        return
    try:
        y = match_targets(part(second), task="classification", classes=classes)
    except DataError:
        assert not set(second) <= set(first)
        return
    assert [int(classes[index]) for index in y] == second


def test_names_and_integers_with_the_same_spelling_match() -> None:
    assert match_targets(part(["1", "0"]), task="classification", classes=("0", "1")).tolist() == [1, 0]
    assert match_targets(part([1.0, 0.0]), task="classification", classes=("0", "1")).tolist() == [1, 0]


def test_unknown_label_is_named_with_its_row() -> None:
    with pytest.raises(
        DataError,
        match=r"row 1 of it .* label 'catt', .*did you mean 'cat'\?\); the classes are 'cat', 'dog'",
    ):
        match_targets(part(["dog", "catt"]), task="classification", classes=("cat", "dog"))


def test_long_lists_are_cut() -> None:
    assert listed(["a", "b"]) == "'a', 'b'"
    assert listed([str(number) for number in range(50)]).endswith("'11', … (50)")
