"""Room for what every predictor says of every row, and how it is walked through: a block of predictors at a time."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ensemble.errors import DiskError

IN_MEMORY = 64_000_000
"""Bytes of the largest array that is held in memory."""

BLOCK = 250_000
"""Numbers that are looked at together: enough that Python costs nothing beside them, few enough for a cache."""


def scratch(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array to be filled. A large one lies in a file without a name, which goes when the array does.

    So a process needs no more memory for ten thousand members than for ten: the kernel keeps the pages it has room for.
    The file is where temporary files are, which ``TMPDIR`` decides; all of its room is taken at once, since a disk that
    is full when a page is written ends the process.

    Raises:
        DiskError: there is no room for it.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= IN_MEMORY:
        return np.empty(shape, dtype)
    try:
        with tempfile.TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, size)
            return np.asarray(np.memmap(file, dtype, mode="r+", shape=shape))
    except OSError as error:
        raise DiskError(
            f"no room for {size / 1e9:.1f} GB of predictions among the temporary files in {tempfile.gettempdir()!r}: "
            f"{error.strerror}; name a directory with more room in TMPDIR"
        ) from error


def blocks(values: NDArray[Any]) -> Iterator[slice]:
    """Slices of predictors, ``(predictors, …)``, that hold about `BLOCK` numbers each and at least one predictor."""
    step = max(1, BLOCK // max(1, math.prod(values.shape[1:])))
    return (slice(start, min(start + step, len(values))) for start in range(0, len(values), step))
