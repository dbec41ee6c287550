"""What a process that trains does with memory it frees: it keeps it for the next step."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT = 2**30
"""Bytes of freed memory that stay with the process."""
LARGEST_KEPT = 2**28
"""Bytes of an array that is kept; larger ones go back to the system at once, as by default those of 32 MiB do."""


def keep_freed_memory() -> None:
    """For the rest of the process, have the C library keep what is freed; other than glibc's is left alone.

    Every step allocates and frees the same activations. By default glibc gives them back at the end of one step and
    asks for them again in the next, and the system clears each page anew: a quarter of the time of a convolutional
    network's step, a fifth of a stack's.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, KEPT)
