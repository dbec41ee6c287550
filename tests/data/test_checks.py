"""Rows that cannot be used are refused; the first offending row and column is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ensemble.data import checks
from ensemble.data.checks import check_part, chunks, fit_inputs
from ensemble.data.raw import Cells, Part, Table, rows_of
from ensemble.errors import DataError


def part(x: Any, y: Any = None) -> Part:
    return Part(x, y, rows_of("it"))


def with_value(value: float, *, dtype: Any = np.float64, shape: tuple[int, ...] = (50, 4)) -> np.ndarray:
    x = np.zeros(shape, dtype=dtype)
    x.reshape(len(x), -1)[[30, 40], [2, 1]] = value
    return x


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("value", "remedy"), [(np.nan, "imputed"), (np.inf, "replace"), (-np.inf, "replace")]
)
def test_nan_and_infinity_are_named(
    dtype: Any, value: float, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "CHUNK", 16)
    with pytest.raises(DataError, match=rf"row 30 of it .*, column 2 .* holds {value}; .*{remedy}"):
        check_part(part(with_value(value, dtype=dtype)), name="it")


def test_position_in_an_image_is_named() -> None:
    with pytest.raises(DataError, match=r"row 30 of it .*, position \(0, 1, 0\)"):
        check_part(part(with_value(np.nan, shape=(50, 1, 2, 2))), name="it")


def test_beyond_float32_is_refused() -> None:
    with pytest.raises(DataError, match=r"1e\+39; float32 cannot hold it"):
        check_part(part(with_value(1e39)), name="it")


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.int64, np.uint64, np.bool_, np.uint8]
)
def test_sound_rows_of_every_type_pass(dtype: Any) -> None:
    top = (
        True
        if dtype is np.bool_
        else np.finfo(dtype).max
        if np.dtype(dtype).kind == "f"
        else np.iinfo(dtype).max
    )
    x = (
        np.full((3, 2), min(float(top), 3e38), dtype=dtype)
        if dtype is np.float64
        else np.full((3, 2), top, dtype)
    )
    check_part(part(x, np.zeros(3)), name="it")


def test_infinite_table_cell_is_named() -> None:
    table = Table({"age": Cells(np.array([1.0, np.nan, -np.inf]))}, 3)
    with pytest.raises(DataError, match=r"row 2 of it .*, column 'age' holds -inf"):
        check_part(part(table), name="it")


def test_targets_are_checked() -> None:
    with pytest.raises(DataError, match=r"row 1 of it .* target nan \(2 such rows\)"):
        check_part(part(np.zeros((4, 1)), np.array([0, np.nan, 1, np.inf])), name="it")
    with pytest.raises(DataError, match=r"4 rows, but 3 targets"):
        check_part(part(np.zeros((4, 1)), np.zeros(3)), name="it")
    with pytest.raises(DataError, match=r"it has no rows"):
        check_part(part(np.zeros((0, 1)), np.zeros(0)), name="it")


def test_chunks_cover_all_rows() -> None:
    slices = chunks(10, (checks.CHUNK // 4,))
    assert [index for rows in slices for index in range(10)[rows]] == list(range(10))
    assert len(slices) == 3


def test_new_images_of_whole_numbers_become_bytes() -> None:
    x = np.array([0.0, 16.0, 255.0, 3.0]).reshape(1, 1, 2, 2)
    result, notes = fit_inputs(x, shape=(1, 2, 2), dtype="uint8", name="it")
    assert result.dtype == np.uint8
    assert result.ravel().tolist() == [0, 16, 255, 3]
    assert "read as bytes" in notes[0]


@pytest.mark.parametrize("value", [0.5, -1, 256])
def test_new_images_on_another_scale_are_refused(value: float) -> None:
    with pytest.raises(DataError, match=r"not whole numbers from 0 to 255"):
        fit_inputs(np.full((1, 1, 2, 2), value), shape=(1, 2, 2), dtype="uint8", name="it")
    with pytest.raises(DataError, match=r"the training images are floats"):
        fit_inputs(np.ones((1, 1, 2, 2), np.uint8), shape=(1, 2, 2), dtype="float32", name="it")


def test_new_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"it has rows of shape \(3,\), but the training rows have shape \(4,\)"
    ):
        fit_inputs(np.zeros((2, 3)), shape=(4,), dtype="float32", name="it")
    assert fit_inputs(np.zeros((2, 4), np.uint8), shape=(4,), dtype="float32", name="it")[1] == ()
