"""Out of bag: each training row scored by the members that never saw it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble.combining.predictions import Floats, Task
from ensemble.errors import EnsembleError
from ensemble.evaluation.inputs import OutOfBag


@dataclass(frozen=True)
class OutOfBagPrediction:
    """Combined out-of-bag predictions.

    Attributes:
        rows: Index of the training rows that at least one member never saw, sorted.
        values: ``(len(rows), outputs)`` averages over those members.
        coverage: Fraction of the training rows that these are.
    """

    rows: NDArray[np.int64]
    values: Floats
    coverage: float


def combine_out_of_bag(given: OutOfBag, *, task: Task) -> OutOfBagPrediction:
    """Average, or for regression mix, each row over the members that never saw it.

    Rows that every member saw are left out, never counted as a class or as zero.

    Raises:
        EnsembleError: a member's rows repeat, lie outside the training rows, or do not match its predictions.
    """
    size, outputs = len(given.targets), given.values[0].shape[1]
    count = np.zeros(size)
    total = np.zeros((size, outputs))
    for member, (rows, values) in enumerate(zip(given.rows, given.values, strict=True)):
        _check(member, rows, len(values), size)
        count[rows] += 1
        total[rows] += values
    seen = np.flatnonzero(count)
    mean = total / np.maximum(count, 1)[:, None]
    if task == "regression" and outputs == 2:
        spread = np.zeros(size)
        for rows, values in zip(given.rows, given.values, strict=True):
            spread[rows] += (values[:, 0] - mean[rows, 0]) ** 2
        mean[:, 1] += spread / np.maximum(count, 1)
    return OutOfBagPrediction(rows=seen, values=mean[seen], coverage=len(seen) / size if size else 0.0)


def _check(member: int, rows: NDArray[np.int64], values: int, size: int) -> None:
    where = f"out-of-bag rows of member {member}"
    if len(rows) != values:
        raise EnsembleError(f"{where}: {len(rows)} rows, but {values} predictions")
    if len(rows) and not 0 <= rows.min() <= rows.max() < size:
        raise EnsembleError(
            f"{where} run from {rows.min()} to {rows.max()}, but there are {size} training rows"
        )
    if len(np.unique(rows)) != len(rows):
        raise EnsembleError(f"{where} repeat: {len(rows)} of them, {len(np.unique(rows))} distinct")
