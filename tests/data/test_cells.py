"""Arrow columns of every make become the same cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ensemble.data.cells import cells_of, targets_of_column
from ensemble.data.raw import rows_of
from ensemble.errors import DataError

WHERE = rows_of("it")
TEXTS = pa.chunked_array([["b", None], ["a", "", "b"]])


@pytest.mark.parametrize(
    "column",
    [
        TEXTS,
        TEXTS.cast(pa.large_string()),
        TEXTS.cast(pa.string_view()),
        TEXTS.dictionary_encode(),
        pa.chunked_array([chunk.dictionary_encode() for chunk in TEXTS.chunks]),
    ],
)
def test_texts(column: Any) -> None:
    cells = cells_of(column, name="color", where=WHERE)
    assert cells.categories == ("a", "b")
    assert cells.values.tolist() == [1, -1, 0, -1, 1]
    with pytest.raises(
        DataError, match=r"row 1 of it .*column 'color': the target is missing \(2 such rows\)"
    ):
        targets_of_column(column, name="color", where=WHERE)


@pytest.mark.parametrize(
    "stored",
    [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.decimal128(5, 1)],
)
def test_numbers(stored: Any) -> None:
    column = pa.chunked_array([pa.array([1, None, 0]).cast(pa.bool_()).cast(pa.int8()).cast(stored)])
    assert np.array_equal(cells_of(column, name="n", where=WHERE).values, [1, np.nan, 0], equal_nan=True)
    with pytest.raises(DataError, match=r"row 1 of it .*the target is missing \(1 such rows\)"):
        targets_of_column(column, name="n", where=WHERE)
    y, names = targets_of_column(column.filter(column.is_valid()), name="n", where=WHERE)
    assert (y.tolist(), names) == ([1, 0], None)


def test_empty_columns() -> None:
    column = pa.chunked_array([pa.nulls(3)])
    assert cells_of(column, name="n", where=WHERE).missing.all()
    assert cells_of(column, name="n", where=WHERE, kind="category").missing.all()
    with pytest.raises(DataError, match=r"target column 'n' is empty"):
        targets_of_column(column, name="n", where=WHERE)


def test_whole_text_is_never_shortened() -> None:
    # NumPy's fixed-width strings would drop a trailing NUL and make one class of two.
    codes, names = targets_of_column(pa.chunked_array([["a", "a\0"]]), name="n", where=WHERE)
    assert (codes.tolist(), names) == ([0, 1], ("a", "a\0"))
