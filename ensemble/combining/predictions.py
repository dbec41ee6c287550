"""Several predictions into one: the average, the vote, the mixture of Gaussians. Arrays in, arrays out.

Predictions are ``(predictors, rows, outputs)``: probabilities of classes, or for regression one column of
means, or two of means and variances. They may be float32 memory maps: a block of predictors at a time is read, sums
run in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ensemble.combining.scratch import added, blocks, looked_at
from ensemble.errors import EnsembleError

Array = NDArray[Any]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Vote:
    """What the majority says.

    Attributes:
        labels: ``(rows,)`` the class with most votes.
        shares: ``(rows, classes)`` share of the votes each class got; not a probability that a likelihood
            fits.
        tie_rate: Fraction of rows on which at least two classes shared the most votes.
    """

    labels: Integers
    shares: Floats
    tie_rate: float


def average(p: Array, weights: ArrayLike | None = None) -> Floats:
    """Mean over predictors, p̄ = Σ w_m p_m / Σ w_m.

    Args:
        p: ``(predictors, rows, outputs)``.
        weights: ``(predictors,)``, not negative, on any scale (counts of a selection, say); None weighs all
            alike.

    Returns:
        ``(rows, outputs)``. One predictor unweighted comes back bit for bit.

    Raises:
        EnsembleError: no predictors, another shape, or weights that weigh nothing.
    """
    w = _check(p, weights)
    return _weighted(p, w, lambda part: part)


def _weighted(p: Array, w: Floats, each: Callable[[Array], Array]) -> Floats:
    """Σ w_m each(p)_m / Σ w_m; of predictors without weight nothing is read."""
    total = np.zeros(())
    for block in blocks(p):
        chosen = np.flatnonzero(w[block])
        if len(chosen):
            some = each(p[block] if len(chosen) == len(w[block]) else p[block][chosen])
            parts = some.astype(np.float64)
            parts *= w[block][chosen].reshape(-1, *[1] * (parts.ndim - 1))
            total = added(total, parts)
    mean: Floats = total / w.sum()
    return mean


def vote(p: Array) -> Vote:
    """The class most predictors would choose.

    Ties go to the tied class with the highest mean probability, then to the lowest index.

    Args:
        p: ``(predictors, rows, classes)`` probabilities.

    Raises:
        EnsembleError: no predictors, or another shape.
    """
    _check(p, None)
    predictors, rows, classes = p.shape
    cells = np.arange(rows) * classes
    named, total = np.zeros(rows * classes), np.zeros(p.shape[1:])

    def look(part: Array) -> tuple[Integers, Floats]:
        chosen = (cells + part.argmax(axis=2)).ravel()
        return np.bincount(chosen, minlength=rows * classes), part.astype(np.float64)

    for counts, parts in looked_at(p, look):
        named += counts
        total = added(total, parts)
    votes = named.reshape(rows, classes)
    tied = votes == votes.max(axis=1, keepdims=True)
    return Vote(
        labels=np.where(tied, total, -np.inf).argmax(axis=1).astype(np.int64),
        shares=votes / predictors,
        tie_rate=float((tied.sum(axis=1) > 1).mean()) if rows else 0.0,
    )


def regression_mixture(values: Array, weights: ArrayLike | None = None) -> Floats:
    """Mean and variance of the mixture of the members' Gaussians (Lakshminarayanan et al. 2017, arXiv
    1612.01474).

    μ* = mean μ_m and σ*² = mean(σ_m² + μ_m²) − μ*², the latter computed as mean σ_m² + mean (μ_m − μ*)²,
    which is equal and loses no digits where means are large against their spread.

    Args:
        values: ``(predictors, rows, 1)`` means or ``(predictors, rows, 2)`` means and variances.
        weights: as in `average`.

    Returns:
        ``(rows, 1)`` or ``(rows, 2)``, as the values are.

    Raises:
        EnsembleError: as `average`; or neither one nor two columns.
    """
    w = _check(values, weights)
    if values.shape[2] not in (1, 2):
        raise EnsembleError(
            f"predictions of a regression have 1 column (mean) or 2 (mean, variance), not {values.shape[2]}"
        )
    mixed = average(values, weights)
    if values.shape[2] == 2:
        mixed[:, 1] += _weighted(values, w, lambda part: (part[:, :, 0] - mixed[:, 0]) ** 2)
    return mixed


def combine(values: Array, *, task: Task, weights: ArrayLike | None = None) -> Floats:
    """The averaging combiner of either task: `average` for classes, `regression_mixture` for numbers."""
    return average(values, weights) if task == "classification" else regression_mixture(values, weights)


def _check(p: Array, weights: ArrayLike | None) -> Floats:
    if p.ndim != 3 or p.shape[0] == 0:
        raise EnsembleError(
            f"predictions must be (predictors, rows, outputs) of at least one predictor, not {p.shape}"
        )
    if weights is None:
        return np.ones(p.shape[0])
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (p.shape[0],):
        raise EnsembleError(f"{p.shape[0]} predictors need as many weights, but their shape is {w.shape}")
    if not np.isfinite(w).all() or (w < 0).any() or w.sum() == 0:
        raise EnsembleError(
            f"weights must be finite, not negative and not all zero, but they are {w.tolist()}"
        )
    return w
