"""Which rows train, validate and test: drawn once from the run's seed, each class in its share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ensemble.data.dataset import Rows
from ensemble.errors import DataError
from ensemble.streams import RunPurpose, generator, run_sequence


@dataclass(frozen=True)
class Split:
    """Sorted, disjoint int64 index vectors that together cover all rows."""

    train: Rows
    valid: Rows
    test: Rows


def split_rows(strata: NDArray[np.int64], *, test: float | int, valid: float, seed: int) -> Split:
    """Divide rows into training, validation and test.

    Args:
        strata: ``(rows,)`` class of each row to be divided; zeros where there are no classes.
        test: A fraction of these rows, or the number of test rows that follow them and are apart already.
        valid: Fraction of the training rows held out; 0 for none.
        seed: The run's.

    Raises:
        DataError: a fraction that leaves no row for its part.
    """
    rng = generator(run_sequence(seed, RunPurpose.SPLIT))
    rows = np.arange(len(strata), dtype=np.int64)
    if isinstance(test, int):
        train, test_rows = rows, np.arange(len(strata), len(strata) + test, dtype=np.int64)
    else:
        drawn = draw_stratified(strata, test, rng)
        train, test_rows = rows[~drawn], rows[drawn]
        if len(test_rows) == 0:
            raise DataError(
                f"a fraction of {test:g} of {len(rows)} rows leaves no test row, since each class keeps one "
                "for training; give more rows, or test rows of their own with --test SOURCE"
            )
    if valid == 0:
        return Split(train, np.empty(0, dtype=np.int64), test_rows)
    held = draw_stratified(strata[train], valid, rng)
    if not held.any():
        raise DataError(
            f"a fraction of {valid:g} of {len(train)} training rows leaves no validation row, since each "
            "class keeps one for training; give more rows, or use --valid 0"
        )
    return Split(train[~held], train[held], test_rows)


def draw_stratified(
    strata: NDArray[np.int64], fraction: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw a fraction of the rows, the same fraction of each class.

    The largest-remainder method in exact arithmetic: a class of n rows gives ⌊n·f⌋, and those with the
    largest remainders one more until ⌊N·f + ½⌋ rows, but at least one, are drawn. Every class keeps one row
    or more, so a class of a single row is never drawn. Remainders that tie go by the random order of the
    rows, so the draw does not depend on which class is called first.

    Args:
        strata: ``(rows,)`` class of each row.
        fraction: In (0, 1).
        rng: Read once: a permutation of the rows.

    Returns:
        ``(rows,)``: whether each row is drawn. All false where no class can spare a row.
    """
    exact = Fraction(repr(float(fraction)))  # 0.1 means a tenth, not the nearest double
    key = rng.permutation(len(strata))
    order = np.lexsort((key, strata))  # by class, then by chance
    _, starts, counts = np.unique(strata[order], return_index=True, return_counts=True)
    quotas = [int(count) * exact for count in counts]
    takes = [math.floor(quota) for quota in quotas]
    wanted = max(1, math.floor(len(strata) * exact + Fraction(1, 2)))
    spare = [c for c in range(len(counts)) if takes[c] < quotas[c] and takes[c] + 1 < counts[c]]
    spare.sort(key=lambda c: (takes[c] - quotas[c], key[order[starts[c]]]))
    for c in spare[: max(0, wanted - sum(takes))]:
        takes[c] += 1
    drawn = np.zeros(len(strata), dtype=bool)
    for start, take in zip(starts, takes, strict=True):
        drawn[order[start : start + take]] = True
    return drawn
