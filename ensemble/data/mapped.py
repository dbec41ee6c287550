"""Arrays that lie in a file: wherever the same file is seen, they are mapped from there and never copied."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from ensemble.data.dataset import Array


@dataclass(frozen=True)
class MappedFile:
    """Where an array lies in a file, and by what the file is known again on another machine.

    Attributes:
        path: Absolute.
        offset: Bytes before the first element; the array lies there in C order.
        dtype, shape: Of the array.
        size, modified: Of the file, in bytes and in nanoseconds.
    """

    path: str
    offset: int
    dtype: str
    shape: tuple[int, ...]
    size: int
    modified: int

    def is_here(self) -> bool:
        """Whether this machine sees the very file: the same path, length and time of its last change."""
        try:
            found = os.stat(self.path)
            readable = os.access(self.path, os.R_OK)
        except OSError:
            return False
        return readable and (found.st_size, found.st_mtime_ns) == (self.size, self.modified)

    def open(self) -> Array:
        """The array, read-only; pages are read as they are touched and shared by all processes of a machine."""
        return np.memmap(self.path, dtype=self.dtype, mode="r", offset=self.offset, shape=self.shape)


def mapped_file(array: Array) -> MappedFile | None:
    """Where the array lies in a file, if it is a contiguous view of one that was mapped to be read; else None."""
    base: object = array
    while isinstance(base, np.ndarray) and not (isinstance(base, np.memmap) and _is_root(base)):
        base = base.base
    if not isinstance(base, np.memmap) or base.mode != "r" or base.filename is None:
        return None
    if not array.flags.c_contiguous:
        return None
    found = os.stat(base.filename)
    return MappedFile(
        path=os.path.abspath(base.filename),
        offset=base.offset + array.ctypes.data - base.ctypes.data,
        dtype=array.dtype.str,
        shape=array.shape,
        size=found.st_size,
        modified=found.st_mtime_ns,
    )


def _is_root(array: Array) -> bool:
    """A view of a memmap is one too and keeps the offset of the whole, so only the first of them can be trusted."""
    return not isinstance(array.base, np.ndarray)
