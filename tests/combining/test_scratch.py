"""Room for predictions: large arrays lie in a file, of which nothing is left behind."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ensemble.combining import scratch
from ensemble.combining.scratch import added, blocks, looked_at
from ensemble.errors import DiskError


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "IN_MEMORY", 1000)


def test_small_arrays_are_in_memory_and_large_ones_in_a_file_without_a_name(tmp_path: Path) -> None:
    assert type(scratch.scratch((10, 10), np.float32)) is np.ndarray
    found = scratch.scratch((10, 10, 10), np.float32)
    assert isinstance(found.base, np.memmap)
    assert found.shape == (10, 10, 10)
    found[:] = np.arange(1000).reshape(10, 10, 10)
    assert found.sum() == 499500
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails without taking all of the room at once: a page that finds none ends the process by a signal."""

    def refuse(descriptor: int, start: int, size: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(DiskError, match=r"no room for 0.0 GB .*No space left.* TMPDIR"):
        scratch.scratch((1000,), np.float64)


def test_blocks_are_all_predictors_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "BLOCK", 12)
    assert [(b.start, b.stop) for b in blocks(np.empty((5, 2, 3)))] == [(0, 2), (2, 4), (4, 5)]
    assert [(b.start, b.stop) for b in blocks(np.empty((2, 100)))] == [(0, 1), (1, 2)]
    assert list(blocks(np.empty((0, 3)))) == []
    assert len(list(blocks(np.empty((3, 0, 2))))) == 1


def test_a_sum_is_the_same_wherever_a_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit, and that of adding one after the other. Fails where blocks are summed first and added then."""
    values = np.random.default_rng(0).lognormal(sigma=5, size=(50, 4, 3))
    one_by_one = np.zeros((4, 3))
    for one in values:
        one_by_one += one
    for block in (12, 100, 10**6):
        monkeypatch.setattr(scratch, "BLOCK", block)
        total = np.zeros((4, 3))
        for some in blocks(values):
            total = added(total, values[some].copy())
        assert np.array_equal(total, one_by_one)


def test_blocks_are_looked_at_side_by_side_and_told_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first block is the last to be ready. Fails where threads tell as they finish, or where there is but one:
    two wait for each other in the first block."""
    monkeypatch.setattr(scratch, "BLOCK", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    together = threading.Barrier(2)

    def look(part: np.ndarray) -> float:
        if part[0] < 2:
            together.wait(timeout=20)
        if part[0] == 0:
            time.sleep(0.05)
        return float(part[0])

    assert list(looked_at(np.arange(20.0), look)) == list(range(20))


def test_what_was_found_and_not_taken_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where all blocks are handed to the threads at once."""
    monkeypatch.setattr(scratch, "BLOCK", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    begun: list[float] = []
    told = looked_at(np.arange(100.0), lambda part: begun.append(part[0]))
    next(told)
    time.sleep(0.1)
    assert len(begun) <= 5


def test_what_goes_wrong_in_a_block_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "BLOCK", 1)
    with pytest.raises(ZeroDivisionError):
        list(looked_at(np.arange(3), lambda part: 1 // int(part[0])))
