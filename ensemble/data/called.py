"""A user's own ``MODULE:FUNCTION`` as a source: what it may return, and how that becomes arrays."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Mapping
from typing import Any

import numpy as np

from ensemble.data.dataset import Array
from ensemble.data.npz import KEYS, source_of
from ensemble.data.raw import Source
from ensemble.errors import DataError
from ensemble.functions import load_function

RETURNS = "(x, y), (x, y, x_test, y_test), a dict of those names, a torch Dataset or a pair of them"


def read_called(source: str, *, labelled: bool = True) -> Source:
    """What ``MODULE:FUNCTION()`` returns; where no targets are needed, ``x`` alone will do.

    Raises:
        UsageError: the function cannot be imported.
        DataError: it raised (its traceback is in the message), or returned something else.
    """
    function = load_function(source)
    try:
        # Standard output belongs to results: what the function prints is progress.
        with contextlib.redirect_stdout(sys.stderr):
            arrays = _named(function(), source)
    except DataError:
        raise
    except (Exception, SystemExit) as error:
        raise DataError(f"{source} failed:\n{''.join(traceback.format_exception(error)).rstrip()}") from error
    return source_of(arrays, name=source, labelled=labelled)


def _named(result: Any, source: str) -> dict[str, Any]:
    if isinstance(result, Mapping):
        unknown = [key for key in result if key not in KEYS]
        if unknown:
            raise DataError(
                f"{source} returned a dict with the key {unknown[0]!r}; known are {', '.join(KEYS)}"
            )
        return dict(result)
    if _is_torch_dataset(result):
        return dict(zip(KEYS, _items(result, source), strict=False))
    if isinstance(result, tuple | list):
        if len(result) == 2 and all(_is_torch_dataset(part) for part in result):
            return dict(zip(KEYS, [*_items(result[0], source), *_items(result[1], source)], strict=True))
        if isinstance(result, tuple) and len(result) in (2, 4):
            return dict(zip(KEYS, result, strict=False))
    elif hasattr(result, "shape"):
        return {"x": result}
    length = f" of length {len(result)}" if isinstance(result, tuple | list) else ""
    raise DataError(f"{source} returned a {type(result).__name__}{length}; it should return {RETURNS}")


def _is_torch_dataset(value: Any) -> bool:
    # A torch Dataset cannot exist where torch was never imported, and importing it takes seconds.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.utils.data.Dataset)


def _items(dataset: Any, source: str) -> tuple[Any, Any]:
    """The items of a map-style Dataset, stacked into ``x`` and ``y``."""
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise DataError(
            f"{source} returned a {type(dataset).__name__} without length; use a map-style Dataset"
        )
    xs: list[Array] = []
    ys: list[Array] = []
    for row in range(len(dataset)):
        item = dataset[row]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(
                f"item {row} of the Dataset of {source} is a {type(item).__name__}, not a pair (x, y)"
            )
        x = np.asarray(item[0])
        if xs and x.shape != xs[0].shape:
            raise DataError(
                f"items 0 and {row} of the Dataset of {source} have shapes {xs[0].shape} and {x.shape}; "
                "resize them to one shape"
            )
        xs.append(x)
        ys.append(np.asarray(item[1]))
    if not xs:
        raise DataError(f"the Dataset of {source} has no rows")
    return np.stack(xs), np.stack(ys)
