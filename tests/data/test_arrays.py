"""Which arrays are rows and targets, and what is refused with which remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ensemble.data.arrays import inputs_of, part_of, targets_of
from ensemble.data.raw import rows_of
from ensemble.errors import DataError

WHERE = rows_of("it")


@pytest.mark.parametrize(
    ("given", "laid_out"),
    [
        ((5, 3), (5, 3)),
        ((5, 8, 9), (5, 1, 8, 9)),
        ((5, 8, 9, 3), (5, 3, 8, 9)),
        ((5, 8, 9, 1), (5, 1, 8, 9)),
        ((5, 3, 8, 9), (5, 3, 8, 9)),
        ((5, 1, 8, 3), (5, 1, 8, 3)),
        ((5, 7, 8, 9), (5, 7, 8, 9)),
    ],
)
def test_layout(given: tuple[int, ...], laid_out: tuple[int, ...]) -> None:
    x = np.arange(np.prod(given), dtype=np.float32).reshape(given)
    result, notes = inputs_of(x, name="x")
    assert result.shape == laid_out
    assert result.dtype == np.float32
    assert bool(notes) == (len(given) == 4 and given != laid_out)


def test_channels_last_moves_values_not_only_shapes() -> None:
    x = np.zeros((2, 4, 5, 3), dtype=np.uint8)
    x[..., 1] = 7
    result, _ = inputs_of(x, name="x")
    assert np.all(result[:, 1] == 7)
    assert not result[:, [0, 2]].any()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(4), r"shape \(4,\).*x\.reshape\(-1, 1\)"),
        (np.float64(3), r"shape \(\)"),
        (np.zeros((2, 2, 2, 2, 2)), r"shape \(2, 2, 2, 2, 2\)"),
        (np.zeros((2, 2), complex), "complex128.*real and imaginary"),
        (np.zeros((2, 2), object), "type object.*convert it to numbers"),
        (np.zeros((2, 2), "U3"), "type <U3"),
        (np.zeros((2, 2), "M8[s]"), "datetime64"),
        (np.zeros((2, 2), np.longdouble), "convert it to float64"),
        (np.zeros((2, 0)), "its rows are empty"),
        ([[1, 2], [3]], "not an array: ValueError"),
    ],
)
def test_inputs_that_are_refused(x: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        part_of(x, np.zeros(2), name="it", where=WHERE)


def test_targets_of_every_kind() -> None:
    names = np.array(["b", "a", "b"])
    for strings in (names, names.astype(object)):
        codes, classes = targets_of(strings, name="y", where=WHERE)
        assert (codes.tolist(), classes) == ([1, 0, 1], ("a", "b"))
    for numbers in (np.array([1, 2]), np.array([True, False]), np.array([0.5, 1])):
        assert targets_of(numbers, name="y", where=WHERE) == (pytest.approx(numbers), None)
    column, _ = targets_of(np.array([[1], [2]]), name="y", where=WHERE)
    assert column.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros((3, 2)), r"shape \(3, 2\).*argmax"),
        (np.zeros((3, 2, 1)), r"each row has one target$"),
        (np.array([1, "a", None], dtype=object), r"row 0 of it .* holds 1, a int"),
        (np.array([b"a", b"b"]), r"\|S1"),
        (np.array([1j, 2]), "complex128"),
        (np.array(["a", "", "b"]), "row 1 of it .* empty target"),
    ],
)
def test_targets_that_are_refused(y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        targets_of(y, name="y", where=WHERE)


def test_torch_tensors_are_arrays() -> None:
    part, _ = part_of(torch.ones(3, 2, requires_grad=True), torch.tensor([0, 1, 0]), name="it", where=WHERE)
    assert isinstance(part.x, np.ndarray)
    assert part.x.dtype == np.float32
    assert part.y is not None
    assert part.y.tolist() == [0, 1, 0]
    with pytest.raises(DataError, match=r"BFloat16"):
        part_of(torch.ones(3, 2, dtype=torch.bfloat16), None, name="it", where=WHERE)
