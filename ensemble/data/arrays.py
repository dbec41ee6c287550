"""Arrays as rows: which axes are channels, which types are inputs, which are targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from ensemble.data.dataset import Array
from ensemble.data.raw import Part, Where
from ensemble.errors import DataError

NUMBERS = "biuf"
"""NumPy's kinds that can be inputs: booleans, integers and floats."""


def part_of(x: Any, y: Any, *, name: str, where: Where) -> tuple[Part, tuple[str, ...]]:
    """Rows from arrays or anything ``np.asarray`` takes, and what was decided about their axes.

    Raises:
        DataError: an array that cannot be inputs or targets, with the remedy.
    """
    inputs, notes = inputs_of(_as_array(x, f"x of {name}"), name=f"x of {name}")
    if y is None:
        return Part(inputs, None, where), notes
    labels, names = targets_of(_as_array(y, f"y of {name}"), name=f"y of {name}", where=where)
    return Part(inputs, labels, where, names), notes


def inputs_of(x: Array, *, name: str) -> tuple[Array, tuple[str, ...]]:
    """Rows in the layout of ``Dataset.x``, in their own type.

    ``(rows, features)`` stays; ``(rows, height, width)`` gains a channel; ``(rows, height, width, 1 or 3)``
    becomes channels first, unless the second axis is 1 or 3 already.

    Raises:
        DataError: another number of axes, or a type that is not numbers.
    """
    if x.dtype.kind not in NUMBERS:
        remedy = (
            "take its real and imaginary part as two features"
            if x.dtype.kind == "c"
            else "convert it to numbers"
        )
        raise DataError(f"{name} is of type {x.dtype}, which cannot be inputs; {remedy}")
    if x.dtype.itemsize > 8:
        raise DataError(f"{name} is of type {x.dtype}; convert it to float64")
    if 0 in x.shape[1:]:
        raise DataError(f"{name} has shape {x.shape}: its rows are empty")
    if x.ndim == 2:
        return x, ()
    if x.ndim == 3:
        return x[:, None], ()
    if x.ndim == 4:
        if x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
            note = f"images of shape {x.shape[1:]} are read as height, width, channels"
            return np.moveaxis(x, 3, 1), (note,)
        return x, ()
    remedy = "; for a single feature use x.reshape(-1, 1)" if x.ndim == 1 else ""
    raise DataError(
        f"{name} has shape {x.shape}, but rows are (rows, features), (rows, height, width) or "
        f"(rows, channels, height, width){remedy}"
    )


def targets_of(y: Array, *, name: str, where: Where) -> tuple[Array, tuple[str, ...] | None]:
    """Targets as ``Part`` holds them: numbers, or codes and the names they stand for.

    Raises:
        DataError: several targets a row, or a type that is neither numbers nor strings.
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        remedy = "; for one-hot rows use y.argmax(axis=1)" if y.ndim == 2 else ""
        raise DataError(f"{name} has shape {y.shape}, but each row has one target{remedy}")
    if y.dtype.kind in NUMBERS and y.dtype.itemsize <= 8:
        return y, None
    if y.dtype.kind == "U" or (y.dtype == object and all(isinstance(value, str) for value in y)):
        return _codes(y, where)
    hint = ""
    if y.dtype == object:
        row = next(row for row, value in enumerate(y) if not isinstance(value, str))
        hint = f": {where(row)} holds {y[row]!r}, a {type(y[row]).__name__}"
    raise DataError(f"{name} is of type {y.dtype}{hint}; targets are strings, booleans, integers or floats")


def _codes(y: Array, where: Where) -> tuple[Array, tuple[str, ...]]:
    values, codes = np.unique(y, return_inverse=True)
    names = tuple(str(value) for value in values)
    if "" in names:
        row = int(np.flatnonzero(codes == names.index(""))[0])
        raise DataError(f"{where(row)} has an empty target; fill it in or leave the row out")
    return codes.astype(np.int64), names


def _as_array(values: Any, name: str) -> Array:
    try:
        if hasattr(values, "detach"):  # a torch tensor, perhaps on another device or with a gradient
            values = values.detach().cpu()
        return np.asarray(values)
    except Exception as error:  # whatever a foreign __array__ raises: ragged lists, types that NumPy lacks
        raise DataError(f"{name} is not an array: {type(error).__name__}: {error}") from error
