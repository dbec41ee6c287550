"""Columns of an Arrow table as numbers, categories or targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from ensemble.data.dataset import Array
from ensemble.data.raw import Cells, Kind, Where
from ensemble.errors import DataError

MOST_CATEGORIES = 100


def cells_of(column: Any, *, name: str, where: Where, kind: Kind | None = None) -> Cells:
    """A column as an input.

    Numbers and booleans (0 and 1) are numbers, text is categories; an empty text is a missing cell.

    Args:
        column: An Arrow chunked array.
        name: The column's.
        where: Names a row.
        kind: What the training rows have in this column; None to tell from the column itself.

    Raises:
        DataError: dates, nested or binary cells; text where numbers belong; more than 100 categories.
    """
    stored = _plain_type(column.type)
    if kind is None:
        kind = "category" if _is_text(stored) else "number"
    if pa.types.is_null(stored):
        stored = pa.float64()
    if not (_is_text(stored) or _is_number(stored)):
        raise DataError(f"column {name!r} {_refusal(stored)}")
    if kind == "number":
        if _is_text(stored):
            row, value = _first_value(column)
            raise DataError(
                f"{where(row)}, column {name!r} holds {value!r}, but the training rows have numbers there"
            )
        return Cells(_numbers(column))
    codes, categories = _codes(column)
    if len(categories) > MOST_CATEGORIES:
        raise DataError(
            f"column {name!r} has {len(categories):,} different texts ({categories[0]!r}, {categories[1]!r}, "
            f"…), more than {MOST_CATEGORIES}: it looks like an identifier; drop it, or group its values"
        )
    return Cells(codes, categories)


def targets_of_column(column: Any, *, name: str, where: Where) -> tuple[Array, tuple[str, ...] | None]:
    """A column as targets: numbers or booleans, or codes and the names they stand for.

    Raises:
        DataError: a missing target, or a type that cannot be a target.
    """
    stored = _plain_type(column.type)
    if pa.types.is_null(stored):
        raise DataError(f"the target column {name!r} is empty")
    if not (_is_text(stored) or _is_number(stored)):
        raise DataError(f"the target column {name!r} {_refusal(stored)}")
    if _is_text(stored):
        codes, names = _codes(column)
        absent = np.flatnonzero(codes < 0)
    else:
        absent = np.flatnonzero(column.is_null(nan_is_null=True).to_numpy())
    if len(absent):
        raise DataError(
            f"{where(int(absent[0]))}, column {name!r}: the target is missing ({len(absent):,} such rows); "
            "fill it in or leave the row out"
        )
    if _is_text(stored):
        return codes, names
    if pa.types.is_decimal(stored) or pa.types.is_dictionary(column.type):
        column = column.cast(pa.float64() if pa.types.is_decimal(stored) else stored)
    return column.to_numpy(), None


def _plain_type(stored: Any) -> Any:
    return stored.value_type if pa.types.is_dictionary(stored) else stored


def _is_text(stored: Any) -> bool:
    return bool(
        pa.types.is_string(stored) or pa.types.is_large_string(stored) or pa.types.is_string_view(stored)
    )


def _is_number(stored: Any) -> bool:
    is_type = pa.types
    return bool(
        is_type.is_boolean(stored)
        or is_type.is_integer(stored)
        or is_type.is_floating(stored)
        or is_type.is_decimal(stored)
    )


def _refusal(stored: Any) -> str:
    if pa.types.is_temporal(stored):
        return (
            f"holds dates or times ({stored}); turn them into numbers (year, days since a date), or drop it"
        )
    if pa.types.is_binary(stored) or pa.types.is_large_binary(stored):
        return "is not UTF-8 text; convert the file, for example with iconv -t UTF-8"
    return f"is of type {stored}, which is neither numbers nor text; convert it or drop it"


def _numbers(column: Any) -> Array:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    # Beyond 2**53 a float rounds: a scale at which no input depends on the last digit.
    values: Array = column.cast(pa.float64(), safe=False).to_numpy()
    return values


def _codes(column: Any) -> tuple[Array, tuple[str, ...]]:
    encoded = column.cast(pa.large_string()).dictionary_encode().unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # a table without chunks
        return np.full(len(encoded), -1, dtype=np.int64), ()
    texts = encoded.dictionary.to_pylist()
    categories = tuple(sorted(text for text in texts if text))
    place = {text: code for code, text in enumerate(categories)}
    lookup = np.array([*(place.get(text, -1) for text in texts), -1], dtype=np.int64)
    # A missing cell has no index: −1 takes the last entry, which is missing too.
    indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return lookup[indices], categories


def _first_value(column: Any) -> tuple[int, str]:
    row = int(np.flatnonzero(column.is_valid().to_numpy())[0])
    return row, str(column[row].as_py())
