"""What a worker does in these tests, instead of training: a task's ``act`` names one of the functions below."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ensemble.data.dataset import Dataset
from ensemble.training.events import Event, Progress, Scored, Started


@dataclass(frozen=True)
class Act:
    """A task like any other to a pool, which asks for its key alone."""

    name: str
    act: str

    @property
    def key(self) -> str:
        return f"act/{self.name}"


def perform(task: Act, data: Dataset) -> Iterator[tuple[Event, ...]]:
    yield (Started(0, "cpu", os.uname().nodename, os.getpid()),)
    yield from ((event,) for event in globals()[f"_{task.act}"](data))


def epoch(number: int) -> Progress:
    return Progress(0, number, 5, 1.0, None, None, 0.1, 1.0, 0.0, 0.0, 1)


def _count(data: Dataset) -> Iterator[Event]:
    yield from map(epoch, range(1, 6))


def _race_ahead(data: Dataset) -> Iterator[Event]:
    for number in range(1, 200):
        yield Scored({}, {"at": np.array([number, time.time()])})


def _exit(data: Dataset) -> Iterator[Event]:
    os._exit(17)
    yield


def _raise(data: Dataset) -> Iterator[Event]:
    raise ValueError("no such luck")
    yield


def _exhaust(data: Dataset) -> Iterator[Event]:
    raise MemoryError("as if")
    yield


def _unpicklable(data: Dataset) -> Iterator[Event]:
    yield (part for part in ())  # type: ignore[misc]


def _linger(data: Dataset) -> Iterator[Event]:
    for number in range(10_000):
        time.sleep(0.05)
        yield epoch(number)


def _linger_large(data: Dataset) -> Iterator[Event]:
    """As `_linger`, with events that go through the object store."""
    for number in range(10_000):
        time.sleep(0.05)
        yield Scored({"w": np.full(100_000, number)}, {})


def _block(data: Dataset) -> Iterator[Event]:
    time.sleep(1000)
    yield


def _look(data: Dataset) -> Iterator[Event]:
    import torch

    arrays = (data.x, data.y, data.train)
    said: dict[str, Any] = {
        "x": data.x[:1000].copy(),
        "sum": np.array([data.x.sum(dtype=np.float64)]),
        "writeable": np.array([array.flags.writeable for array in arrays]),
        "shared": np.array([_mapping_of(array) for array in arrays]),
        "threads": np.array([torch.get_num_threads(), int(os.environ["OMP_NUM_THREADS"])]),
        "gpus": np.array([torch.cuda.device_count()]),
    }
    yield Scored({}, said)


def _look_and_linger(data: Dataset) -> Iterator[Event]:
    yield from _look(data)
    yield from _linger(data)


def _mapping_of(array: np.ndarray) -> str:
    """The file whose mapping holds the array."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, *_, name = line.rstrip().split(maxsplit=5)
            first, last = (int(end, 16) for end in span.split("-"))
            if first <= array.ctypes.data < last:
                return name
    return ""


def _chatter(data: Dataset) -> Iterator[Event]:
    print("a worker prints")
    print("a worker complains", file=sys.stderr)
    os.system("echo a child of a worker prints")
    yield epoch(1)
