"""What rows must satisfy before anything starts; each refusal names the first offending row and column."""

from __future__ import annotations

import math

import numpy as np

from ensemble.data.dataset import Array
from ensemble.data.raw import Part, Table, Where
from ensemble.errors import DataError

CHUNK = 2**20
"""Values looked at in one go: enough to be quick, too few to double the memory."""
LARGEST = float(np.finfo(np.float32).max)


def chunks(count: int, shape: tuple[int, ...]) -> list[slice]:
    """Slices that cover ``count`` rows of one shape, each of about a million values."""
    step = max(1, CHUNK // math.prod(shape))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def check_part(part: Part, *, name: str) -> None:
    """Refuse rows that cannot be learned from or judged by.

    Raises:
        DataError: no rows, targets of another length, or a number that is NaN, infinite or beyond float32.
    """
    if len(part) == 0:
        raise DataError(f"{name} has no rows")
    if part.y is not None and len(part.y) != len(part):
        raise DataError(f"{name} has {len(part):,} rows, but {len(part.y):,} targets; each row needs one")
    if isinstance(part.x, Table):
        for column, cells in part.x.columns.items():
            if cells.categories is None:
                _check_numbers(cells.values, where=part.where, column=column)
    else:
        _check_inputs(part.x, where=part.where)
    if part.y is not None and part.y.dtype.kind == "f":
        wrong = np.flatnonzero(~np.isfinite(part.y))
        if len(wrong):
            raise DataError(
                f"{part.where(int(wrong[0]))} has the target {part.y[wrong[0]]} ({len(wrong):,} such rows); "
                "fill it in or leave the row out"
            )


def fit_inputs(x: Array, *, shape: tuple[int, ...], dtype: str, name: str) -> tuple[Array, tuple[str, ...]]:
    """New rows in the shape and kind of the training rows, and what had to be converted.

    Whole numbers from 0 to 255 of any type hold the same pixels as bytes and become bytes where training had
    bytes; anything else would be on another scale, which nobody could see later.

    Args:
        x: ``(rows, …)`` new inputs, laid out as ``inputs_of`` does.
        shape: One training row.
        dtype: ``uint8`` or ``float32``: what ``Dataset.x`` holds.
        name: The source, as messages name it.

    Raises:
        DataError: another shape, or pixels of another kind.
    """
    if x.shape[1:] != shape:
        raise DataError(f"{name} has rows of shape {x.shape[1:]}, but the training rows have shape {shape}")
    if len(shape) != 3 or (x.dtype == np.uint8) == (dtype == "uint8"):
        return x, ()
    if dtype != "uint8":
        raise DataError(
            f"{name} holds byte images, but the training images are floats; "
            "convert them as those were converted"
        )
    for rows in chunks(len(x), x.shape[1:]):
        chunk = x[rows]
        if not np.all((chunk >= 0) & (chunk <= 255) & (chunk == np.floor(chunk))):
            raise DataError(
                f"{name} holds {x.dtype} images that are not whole numbers from 0 to 255, but the training "
                "images are bytes; convert them back to the range they were read in"
            )
    return x.astype(np.uint8), (f"{x.dtype} images hold whole numbers from 0 to 255 and are read as bytes",)


def _check_inputs(x: Array, *, where: Where) -> None:
    if x.dtype.kind != "f":
        return
    for rows in chunks(len(x), x.shape[1:]):
        # NaN fails every comparison, so one test finds NaN, infinities and what float32 cannot hold.
        sound = np.isfinite(x[rows]) if x.dtype.itemsize <= 4 else np.abs(x[rows]) <= LARGEST
        if not sound.all():
            row, *position = (int(axis[0]) for axis in np.nonzero(~sound))
            value = x[rows][(row, *position)]
            place = f"column {position[0]}" if len(position) == 1 else f"position {tuple(position)}"
            raise DataError(
                f"{where(row + rows.start)}, {place} (counted from 0) holds {value}; {_remedy(float(value))}"
            )


def _check_numbers(values: Array, *, where: Where, column: str) -> None:
    wrong = np.flatnonzero(np.abs(values) > LARGEST)
    if len(wrong):
        value = float(values[wrong[0]])
        raise DataError(f"{where(int(wrong[0]))}, column {column!r} holds {value}; {_remedy(value)}")


def _remedy(value: float) -> str:
    if np.isnan(value):
        return "fill missing values in, or use a CSV or Parquet file, where they are imputed"
    if np.isinf(value):
        return "replace it by a number, or leave the row out"
    return "float32 cannot hold it: scale the column down"
