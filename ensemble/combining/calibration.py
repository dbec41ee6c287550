"""Confidence made honest on rows kept apart: one temperature, and conformal sets with a stated coverage."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble.combining.predictions import Array, Floats
from ensemble.combining.selection import PROBABILITY_FLOOR
from ensemble.errors import EnsembleError

TEMPERATURES = (0.05, 20.0)
"""Fitted temperatures lie between these; rows all of which are right would otherwise push it to zero."""
HALVINGS = 17
"""Of the interval between them, after which log T is known to 0.00005."""


def fit_temperature(p: Array, y: Array) -> float:
    """The temperature of averaged probabilities with the least NLL (Guo et al. 2017, arXiv 1706.04599).

    p_T ∝ p^(1/T). The NLL is convex in 1/T, so its slope there, the mean over rows of Σ_k p_T,k log p_k − log p_y,
    changes sign once, at the minimum, which halving the interval of log T finds.

    Args:
        p: ``(rows, classes)`` on rows that neither trained nor selected anything.
        y: ``(rows,)`` class indices.

    Raises:
        EnsembleError: there are no rows to fit on.
    """
    _need_rows(len(y))
    likely = np.maximum(p, PROBABILITY_FLOOR)
    logs = np.log(likely, dtype=np.float64)
    true = logs[np.arange(len(y)), y].mean()
    low, high = (math.log(bound) for bound in TEMPERATURES)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        slope = np.einsum("rk,rk->r", apply_temperature(likely, math.exp(middle)), logs).mean() - true
        low, high = (middle, high) if slope > 0 else (low, middle)
    return math.exp((low + high) / 2)


def apply_temperature(p: Array, temperature: float) -> Floats:
    """``(rows, classes)`` probabilities p^(1/T), normalized; classes keep their order and zeros stay zero."""
    # Against the row's largest, so that no row underflows whole.
    powers = np.divide(p, p.max(axis=1, keepdims=True), dtype=np.float64) ** (1 / temperature)
    scaled: Floats = powers / powers.sum(axis=1, keepdims=True)
    return scaled


@dataclass(frozen=True)
class Threshold:
    """Largest nonconformity that is kept; infinite (all is kept) where rows are too few for the coverage."""

    value: float
    coverage: float
    rows: int


def fit_conformal(p: Array, y: Array, *, coverage: float = 0.9) -> Threshold:
    """Split conformal sets of least ambiguity (Sadinle et al. 2019, arXiv 1609.00451).

    The nonconformity of a row is 1 − p_y; the threshold is the ⌈(n+1)·coverage⌉-th smallest of n, which makes
    P(y in set) ≥ coverage for a new row exchangeable with these.

    Args:
        p: ``(rows, classes)`` on rows that neither trained nor selected nor calibrated anything else.
        y: ``(rows,)`` class indices.
        coverage: Between 0 and 1.

    Raises:
        EnsembleError: there are no rows, or the coverage lies outside (0, 1).
    """
    return _threshold(1 - p[np.arange(len(y)), y].astype(np.float64), coverage)


def conformal_sets(p: Array, threshold: Threshold) -> NDArray[np.bool_]:
    """``(rows, classes)`` which classes are in each row's set; it may be empty where nothing is plausible."""
    kept: NDArray[np.bool_] = 1 - p.astype(np.float64) <= threshold.value
    return kept


def fit_conformal_width(values: Array, y: Array, *, coverage: float = 0.9) -> Threshold:
    """The analog for numbers: nonconformity |y − μ|/σ, or |y − μ| where there is no variance (Lei et al.
    2018).

    Args:
        values: ``(rows, 1)`` means or ``(rows, 2)`` means and variances.
        y: ``(rows,)`` targets.

    Raises:
        EnsembleError: as `fit_conformal`.
    """
    return _threshold(np.abs(y - values[:, 0].astype(np.float64)) / _scale(values), coverage)


def conformal_intervals(values: Array, threshold: Threshold) -> Floats:
    """``(rows, 2)`` lower and upper ends: μ ± threshold·σ, or μ ± threshold where there is no variance."""
    mean = values[:, 0].astype(np.float64)
    width = threshold.value * _scale(values)
    return np.stack([mean - width, mean + width], axis=1)


def _scale(values: Array) -> Floats:
    return np.sqrt(values[:, 1].astype(np.float64)) if values.shape[1] == 2 else np.ones(len(values))


def _threshold(nonconformity: Floats, coverage: float) -> Threshold:
    rows = len(nonconformity)
    _need_rows(rows)
    if not 0 < coverage < 1:
        raise EnsembleError(f"coverage must lie between 0 and 1, not {coverage}")
    rank = math.ceil((rows + 1) * coverage - 1e-9)  # 25 · 0.28 is 7, not a little more
    value = float(np.partition(nonconformity, rank - 1)[rank - 1]) if rank <= rows else math.inf
    return Threshold(value=value, coverage=coverage, rows=rows)


def _need_rows(rows: int) -> None:
    if rows == 0:
        raise EnsembleError("calibration needs held-out rows, but there are none; raise --valid")
