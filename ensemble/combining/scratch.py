"""Room for what every predictor says of every row, and how it is walked through and added up: a block of predictors at
a time."""

from __future__ import annotations

import math
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ensemble.errors import DiskError

A = TypeVar("A")
T = TypeVar("T")

IN_MEMORY = 64_000_000
"""Bytes of the largest array that is held in memory."""

BLOCK = 125_000
"""Numbers that are looked at together: enough that Python costs nothing beside them, few enough for a cache, and for
the allocator, which in float64 asks the system for fresh pages again and again from 2 MB on (a third of all time)."""


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


def together(size: int) -> int:
    """How many predictions of so many numbers each make a block; at least one."""
    return max(1, BLOCK // max(1, size))


def blocks(values: NDArray[Any]) -> Iterator[slice]:
    """Slices of predictors, ``(predictors, …)``, that hold about `BLOCK` numbers each and at least one predictor."""
    step = together(math.prod(values.shape[1:]))
    return (slice(start, min(start + step, len(values))) for start in range(0, len(values), step))


def looked_at(values: NDArray[Any], look: Callable[[NDArray[Any]], T]) -> Iterator[T]:
    """What ``look`` finds in each of `blocks` of ``(predictors, …)``, found by `threaded`."""
    return threaded(lambda block: look(values[block]), blocks(values))


def threaded(work: Callable[[A], T], parts: Iterable[A]) -> Iterator[T]:
    """What ``work`` finds in each part, in their order, as many of them at a time as there are cores.

    numpy lets the interpreter go while it computes, so two threads are nearly twice as fast as one. ``work`` is called
    by several at once, and writes nothing.
    """
    cores, ahead = len(os.sched_getaffinity(0)), deque[Future[T]]()
    with ThreadPoolExecutor(cores) as threads:
        for part in parts:
            ahead.append(threads.submit(work, part))
            if len(ahead) > 2 * cores:  # what was found and not yet taken stays small
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def added(total: NDArray[np.float64], parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """total + parts_0 + parts_1 + …, one after the other, so that a sum does not depend on where a block ends.

    Args:
        total: ``(…)`` of the blocks before; zeros before the first.
        parts: ``(predictors, …)`` of this block, at least one. They are overwritten.
    """
    parts[0] += total
    return np.asarray(parts.sum(axis=0))
