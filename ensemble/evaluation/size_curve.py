"""What each further predictor is worth: every metric for ensembles of 1, 2, … of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from ensemble.combining.predictions import Array, Floats, Integers, Task, combine, regression_mixture
from ensemble.evaluation.metrics import METRICS, Metrics, metrics
from ensemble.streams import RunPurpose, generator, run_sequence

SUBSETS = 20
"""Subsets of each size: all of them where there are no more, else so many at random."""
LARGEST_SIZES = 100
"""Beyond so many predictors only as many sizes are evaluated, spaced geometrically, the last being all."""


def size_curve(values: Array, y: Array, *, task: Task, seed: int) -> list[dict[str, Any]]:
    """Mean and spread of each metric over subsets of each size.

    A size with no more than 20 subsets has them all, and so has size 1; any other has the first so many
    predictors of 20 random orders, whose sums run along the order, so that the whole curve costs little more
    than its metrics.

    Args:
        values: ``(predictors, rows, outputs)``.
        y: ``(rows,)``.
        seed: Of the run.

    Returns:
        For each size ``{"predictors", "subsets", METRIC…, "sd": {METRIC…}}``: means over subsets and their
        standard deviation (divided by their number, so one subset has 0). The first entry is the mean member,
        the last the ensemble.
    """
    predictors = len(values)
    found: dict[int, list[Metrics]] = {size: [] for size in sizes(predictors, LARGEST_SIZES)}
    drawn = set()
    for size in found:
        if size > 1 and comb(predictors, size) > SUBSETS:
            drawn.add(size)
            continue
        for subset in combinations(range(predictors), size):
            chosen = np.zeros(predictors)
            chosen[list(subset)] = 1
            found[size].append(metrics(combine(values, task=task, weights=chosen), y, task=task))
    if drawn:
        for order in orders(predictors, SUBSETS, seed=seed):
            for size, combined in prefixes(values, order, task=task, until=max(drawn)):
                if size in drawn:
                    found[size].append(metrics(combined, y, task=task))
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


def prefixes(values: Array, order: Integers, *, task: Task, until: int) -> Iterator[tuple[int, Floats]]:
    """Combined predictions ``(rows, outputs)`` of the first 1, 2, … ``until`` predictors of an order."""
    if task == "regression":
        yield from _mixture_prefixes(values, order[:until])
        return
    total = np.zeros(values.shape[1:])
    for size, predictor in enumerate(order[:until], start=1):
        total += values[predictor]
        yield size, total / size


def _mixture_prefixes(values: Array, order: Integers) -> Iterator[tuple[int, Floats]]:
    """Sums about the full ensemble's mean: about zero, a large mean would swallow the spread."""
    centre = regression_mixture(values)[:, 0]
    total = np.zeros(values.shape[1:])
    squares = np.zeros(values.shape[1])
    for size, predictor in enumerate(order, start=1):
        offset = values[predictor, :, 0] - centre
        total[:, 0] += offset
        total[:, 1:] += values[predictor, :, 1:]
        squares += offset**2
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
