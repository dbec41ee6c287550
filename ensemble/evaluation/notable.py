"""Rows worth looking at: where the ensemble is surest and wrong, and where it knows least."""

from __future__ import annotations

from typing import Any

import numpy as np

from ensemble.combining.predictions import Array
from ensemble.evaluation.metrics import NORMAL_95

SHOWN = 12
TOP = 3
"""So many of the most probable classes are told of each row."""


def notable_classes(mean: Array, y: Array, *, total: Array, shares: Array) -> dict[str, list[dict[str, Any]]]:
    """The most confident mistakes and the most uncertain rows of a classification.

    Args:
        mean: ``(rows, classes)`` averaged probabilities.
        y: ``(rows,)`` class indices.
        total: ``(rows,)`` entropy of ``mean``.
        shares: ``(rows, classes)`` share of the members that name each class.

    Returns:
        ``{"mistakes", "uncertain"}``, at most 12 each, the most striking first: ``{"row", "true",
        "predicted", "confidence", "total", "agree", "top"}`` with the row's number among the test rows, class
        indices, the share of members that say what the average says, and ``[class, probability]`` pairs.
    """
    labels, confidence = mean.argmax(axis=1), mean.max(axis=1)
    wrong = np.flatnonzero(labels != y)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:SHOWN]
    vaguest = np.argsort(-total, kind="stable")[:SHOWN]

    def tell(row: int) -> dict[str, Any]:
        top = np.argsort(-mean[row], kind="stable")[:TOP]
        return {
            "row": row,
            "true": y[row],
            "predicted": labels[row],
            "confidence": confidence[row],
            "total": total[row],
            "agree": shares[row, labels[row]],
            "top": [[label, mean[row, label]] for label in top.tolist()],
        }

    return {"mistakes": [tell(r) for r in surest.tolist()], "uncertain": [tell(r) for r in vaguest.tolist()]}


def notable_values(mean: Array, y: Array, *, epistemic: Array) -> dict[str, list[dict[str, Any]]]:
    """The rows that surprise most and those with the widest predictions, of a regression.

    Surprise is |y − μ|/σ, and width is σ; without a variance |y − μ|, and the spread of the members.

    Args:
        mean: ``(rows, 1|2)`` means (and variances) of the mixture.
        y: ``(rows,)`` targets.
        epistemic: ``(rows,)`` variance of the members' means.

    Returns:
        ``{"mistakes", "uncertain"}`` of ``{"row", "true", "mean", "std", "low95", "high95", "spread"}``; what
        needs a variance is None without.
    """
    error = np.abs(mean[:, 0] - y)
    std = np.sqrt(mean[:, 1]) if mean.shape[1] == 2 else None
    surprise = error if std is None else error / std
    width = epistemic if std is None else std

    def tell(row: int) -> dict[str, Any]:
        mu, sigma = mean[row, 0], None if std is None else std[row]
        return {
            "row": row,
            "true": y[row],
            "mean": mu,
            "std": sigma,
            "low95": None if sigma is None else mu - NORMAL_95 * sigma,
            "high95": None if sigma is None else mu + NORMAL_95 * sigma,
            "spread": np.sqrt(epistemic[row]),
        }

    return {
        "mistakes": [tell(row) for row in np.argsort(-surprise, kind="stable")[:SHOWN].tolist()],
        "uncertain": [tell(row) for row in np.argsort(-width, kind="stable")[:SHOWN].tolist()],
    }
