"""Greedy selection of predictors on held-out rows (Caruana et al. 2004, “Ensemble selection”)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ensemble.combining.predictions import Array, Floats, Integers, Task
from ensemble.combining.scratch import blocks, scratch
from ensemble.errors import EnsembleError

PROBABILITY_FLOOR = 1e-12
"""Below this a probability counts as this in a logarithm, so that one row cannot make a loss infinite."""


@dataclass(frozen=True)
class Selection:
    """Which predictors were taken.

    Attributes:
        weights: ``(predictors,)`` how often each was chosen; `average` divides by their sum.
        order: Predictors in the order they were taken, repetitions included.
        scores: Score on the held-out rows after each of them, falling strictly.
    """

    weights: Integers
    order: tuple[int, ...]
    scores: tuple[float, ...]


def greedy(p: Array, y: Array, *, task: Task, rows: Integers | None = None, rounds: int = 100) -> Selection:
    """Add, with replacement, the predictor that lowers the loss of the average most, until none does.

    Starts from the best single predictor. Of equally good candidates one already chosen is taken before a new
    one, then the lowest index, so that the selection stays small and does not depend on chance.

    Args:
        p: ``(predictors, rows, outputs)`` on rows no predictor was trained on.
        y: ``(rows,)`` class indices or targets.
        task: The loss is the NLL of averaged probabilities; for regression that of the mixture, or the RMSE
            where predictors have no variance.
        rows: Positions of those that select; all of them where left out.
        rounds: At most so many choices.

    Raises:
        EnsembleError: there are no rows to select on.
    """
    selecting = np.arange(p.shape[1]) if rows is None else rows
    if not len(selecting):
        raise EnsembleError("greedy selection needs held-out rows, but there are none")
    parts, loss = (_classification if task == "classification" else _regression)(p, y, selecting)
    predictors = len(p)
    total = np.zeros(parts.shape[1:])
    weights = np.zeros(predictors, dtype=np.int64)
    order: list[int] = []
    scores: list[float] = []
    while len(order) < rounds:
        losses = np.empty(predictors)
        for block in blocks(parts):
            losses[block] = loss((total + parts[block]) / (len(order) + 1))
        lowest = losses.min()
        if scores and not lowest < scores[-1]:
            break
        best = np.flatnonzero(losses == lowest)
        chosen = int(best[np.argmax(weights[best] > 0)])
        total += parts[chosen]
        weights[chosen] += 1
        order.append(chosen)
        scores.append(float(lowest))
    return Selection(weights=weights, order=tuple(order), scores=tuple(scores))


Loss = Callable[[Floats], Floats]
"""Of ``(predictors, …)`` averages, one a predictor."""


def _classification(p: Array, y: Array, rows: Integers) -> tuple[Array, Loss]:
    """The averaged NLL needs the true class's probability alone: parts ``(predictors, rows)``."""
    parts = scratch((len(p), len(rows)), p.dtype)
    for block in blocks(p):
        parts[block] = p[block][:, rows, y[rows]]
    return parts, lambda mean: -np.log(np.maximum(mean, PROBABILITY_FLOOR)).mean(axis=-1)


def _regression(p: Array, y: Array, rows: Integers) -> tuple[Array, Loss]:
    """Moments about the target, which average linearly: parts ``(predictors, moments, rows)``."""
    likely = p.shape[2] == 2
    parts = scratch((len(p), 3 if likely else 1, len(rows)), np.float64)
    for block in blocks(p):
        error = p[block][:, rows, 0].astype(np.float64) - y[rows]
        parts[block, 0] = error
        if likely:
            parts[block, 1], parts[block, 2] = error**2, p[block][:, rows, 1]
    if likely:
        return parts, _mixture_nll
    return parts, lambda mean: np.sqrt((mean[:, 0] ** 2).mean(axis=-1))


def _mixture_nll(mean: Floats) -> Floats:
    error, square, inner = np.moveaxis(mean, 1, 0)
    variance = inner + np.maximum(
        square - error**2, 0
    )  # the spread of means is not negative but for rounding
    nll: Floats = (0.5 * np.log(2 * np.pi * variance) + error**2 / (2 * variance)).mean(axis=-1)
    return nll
