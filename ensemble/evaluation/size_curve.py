"""What each further predictor is worth: every metric for ensembles of 1, 2, … of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations, islice
from math import comb
from typing import Any

import numpy as np

from ensemble.combining.predictions import Array, Floats, Integers, Task, combine, regression_mixture
from ensemble.combining.scratch import added, blocks, threaded, together
from ensemble.evaluation.metrics import METRICS, Metrics, metrics, metrics_of_all
from ensemble.streams import RunPurpose, generator, run_sequence

SUBSETS = 20
"""Subsets of each size: all of them where there are no more, else so many at random."""
MANY = 1000
"""From so many predictors on a curve is smooth: larger subsets are the first of `WHOLE` of the orders alone."""
WHOLE = 2
LARGEST_SIZES = 100
"""Beyond so many predictors only as many sizes are evaluated, spaced geometrically, the last being all."""


def size_curve(
    values: Array, y: Array, *, task: Task, seed: int, single: Sequence[Metrics]
) -> list[dict[str, Any]]:
    """Mean and spread of each metric over subsets of each size.

    A size with no more than 20 subsets has them all, and so has size 1; any other has the first so many
    predictors of 20 random orders (of 2 beyond 1,000 predictors), whose sums run along the order, so that the
    whole curve costs little more than its metrics.

    Args:
        values: ``(predictors, rows, outputs)``.
        y: ``(rows,)``.
        seed: Of the run.
        single: Metrics of each predictor.

    Returns:
        For each size ``{"predictors", "subsets", METRIC…, "sd": {METRIC…}}``: means over subsets and their
        standard deviation (divided by their number, so one subset has 0). The first entry is the mean member,
        the last the ensemble.
    """
    predictors = len(values)
    found: dict[int, list[Metrics]] = {size: [] for size in sizes(predictors, LARGEST_SIZES)}
    drawn = set()
    found[1] = list(single)
    for size in [size for size in found if size > 1]:
        if comb(predictors, size) > SUBSETS:
            drawn.add(size)
            continue
        for subset in combinations(range(predictors), size):
            chosen = np.zeros(predictors)
            chosen[list(subset)] = 1
            found[size].append(metrics(combine(values, task=task, weights=chosen), y, task=task))
    if drawn:

        def along(numbered: tuple[int, Integers]) -> list[tuple[int, Metrics]]:
            place, order = numbered
            wanted = drawn if place < WHOLE else {size for size in drawn if size <= MANY}
            combined = prefixes(values, order, task=task, wanted=wanted)
            judged: list[tuple[int, Metrics]] = []
            while some := list(islice(combined, together(values[0].size))):
                sized, stacked = zip(*some, strict=True)
                judged += zip(sized, metrics_of_all(np.stack(stacked), y, task=task), strict=True)
            return judged

        for judged in threaded(along, enumerate(orders(predictors, SUBSETS, seed=seed))):
            for size, one in judged:
                found[size].append(one)
    return [{"predictors": size, **_summary(each, task)} for size, each in found.items()]


def sizes(predictors: int, most: int) -> list[int]:
    """1 to ``predictors``: all, or at most ``most`` spaced geometrically from the first to the last."""
    if predictors <= most:
        return list(range(1, predictors + 1))
    return sorted({round(size) for size in np.geomspace(1, predictors, most)})


def orders(predictors: int, count: int, *, seed: int) -> list[Integers]:
    """Random orders of the predictors, from the run's report stream."""
    random = generator(run_sequence(seed, RunPurpose.REPORT))
    return [random.permutation(predictors) for _ in range(count)]


def prefixes(
    values: Array, order: Integers, *, task: Task, wanted: Collection[int]
) -> Iterator[tuple[int, Floats]]:
    """Combined predictions ``(rows, outputs)`` of the first so many predictors of an order, for each wanted number."""
    if task == "regression":
        yield from _mixture_prefixes(values, order, wanted)
        return
    total = np.zeros(values.shape[1:])
    for size, chosen in _steps(values, order, wanted):
        total = added(total, values[chosen].astype(np.float64))
        if size in wanted:
            yield size, total / size


def _steps(values: Array, order: Integers, wanted: Collection[int]) -> Iterator[tuple[int, Integers]]:
    """How many predictors of an order are in, and the last of them: those up to the next wanted number, or a block."""
    start = 0
    for end in sorted(wanted):
        for block in blocks(values[start:end]):
            yield start + block.stop, order[start + block.start : start + block.stop]
        start = end


def _mixture_prefixes(
    values: Array, order: Integers, wanted: Collection[int]
) -> Iterator[tuple[int, Floats]]:
    """Sums about the full ensemble's mean: about zero, a large mean would swallow the spread."""
    centre = regression_mixture(values)[:, 0]
    total, squares = np.zeros(values.shape[1:]), np.zeros(values.shape[1])
    for size, chosen in _steps(values, order, wanted):
        parts = values[chosen].astype(np.float64)
        parts[:, :, 0] -= centre
        squares = added(squares, parts[:, :, 0] ** 2)
        total = added(total, parts)
        if size not in wanted:
            continue
        mixed = total / size
        mixed[:, 1:] += np.maximum(squares / size - mixed[:, 0] ** 2, 0)[:, None]
        mixed[:, 0] += centre
        yield size, mixed


def _summary(found: list[Metrics], task: Task) -> dict[str, Any]:
    means: dict[str, float | None] = {}
    spread: dict[str, float | None] = {}
    for name in METRICS[task]:
        values = [value for one in found if (value := one[name]) is not None]
        means[name] = float(np.mean(values)) if values else None
        spread[name] = float(np.std(values)) if values else None
    return {"subsets": len(found), **means, "sd": spread}
