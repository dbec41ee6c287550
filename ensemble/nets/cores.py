"""Parts of a work on a core each, instead of each of its operations on all cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

import torch

T = TypeVar("T")

_cores = Lock()


def side_by_side(work: Callable[[T], None], parts: Sequence[T], device: torch.device) -> None:
    """Do the work for each part, on a CPU as many at a time as torch has threads, each with one.

    The threads of an operation wait for one another at its end, and there are thousands of operations, each of some
    tenths of a millisecond: where anybody else wants a core too, each may wait for its turn there, which was seen to
    take ten times as long as a single thread. Parts wait for nobody, and say what they would one after the other.

    Args:
        work: May be called by several threads at once, and writes nothing that another part writes.
        parts: What it is called with.
        device: Where it computes. Elsewhere than on a CPU the parts follow one another.
    """
    if device.type != "cpu":
        for part in parts:
            work(part)
        return
    # How many threads an operation has is said to the whole process, so one at a time says it.
    with _cores:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            if len(parts) == 1 or threads == 1:
                for part in parts:
                    work(part)
                return
            with ThreadPoolExecutor(min(threads, len(parts))) as pool:
                for _ in pool.map(work, parts):
                    pass
        finally:
            torch.set_num_threads(threads)
