"""Whether probabilities mean what they say: confidence against accuracy by bin, nominal against achieved
coverage.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from ensemble.combining.predictions import Array
from ensemble.evaluation.intervals import wilson
from ensemble.evaluation.metrics import BINS, absolute_error_rows, accuracy_rows, calibration_gaps

NOMINAL = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Central intervals whose coverage is looked at: 5 % to 95 %."""


def reliability(p: Array, y: Array) -> list[dict[str, Any]]:
    """Each of the 15 bins of the ECE that holds rows (Guo et al. 2017, arXiv 1706.04599).

    Args:
        p: ``(rows, classes)`` probabilities.
        y: ``(rows,)`` class indices.

    Returns:
        ``{"low", "high", "rows", "confidence", "accuracy", "ci95"}``: means over the bin's rows, and the Wilson
        interval of the accuracy. Σ rows/n · |accuracy − confidence| is the ECE.
    """
    confidence, correct = p.max(axis=1).astype(np.float64), accuracy_rows(p, y)
    _, bins = calibration_gaps(confidence, correct)
    found = []
    for index in np.unique(bins):
        here = bins == index
        right, rows = int(correct[here].sum()), int(here.sum())
        found.append(
            {
                "low": index / BINS,
                "high": (index + 1) / BINS,
                "rows": rows,
                "confidence": confidence[here].mean(),
                "accuracy": right / rows,
                "ci95": wilson(right, rows),
            }
        )
    return found


def coverage_curve(values: Array, y: Array) -> list[dict[str, Any]]:
    """Share of rows inside the central intervals of N(μ, σ²), for nominal shares of 5 % to 95 %.

    Args:
        values: ``(rows, 2)`` means and variances.
        y: ``(rows,)`` targets.

    Returns:
        ``{"nominal", "achieved", "ci95"}``, the last a Wilson interval.
    """
    distance = absolute_error_rows(values, y) / np.sqrt(values[:, 1].astype(np.float64))
    found = []
    for nominal in NOMINAL:
        inside = int((distance <= NormalDist().inv_cdf((1 + nominal) / 2)).sum())
        found.append({"nominal": nominal, "achieved": inside / len(y), "ci95": wilson(inside, len(y))})
    return found
