"""Which classes are taken for which, and how well each is found."""

from __future__ import annotations

from typing import Any

import numpy as np

from ensemble.combining.predictions import Array
from ensemble.evaluation.intervals import wilson

LARGEST_MATRIX = 100
"""Beyond so many classes the matrix is left out: nobody reads it and it grows as a square."""


def confusion(labels: Array, y: Array, *, classes: int) -> Array:
    """``(classes, classes)`` counts: rows are the true class, columns the predicted one."""
    counted: Array = np.bincount(y * classes + labels, minlength=classes * classes)
    return counted.reshape(classes, classes)


def per_class(matrix: Array) -> list[dict[str, Any]]:
    """Of each class of a confusion matrix, in the order of their index.

    Returns:
        ``{"rows", "predicted", "recall", "recall_ci95", "precision", "f1"}``: how many rows are of the class and
        how many were taken for it; the share found with its Wilson interval; the share of those taken for it
        that are of it; their harmonic mean. None where it would be a division by zero: a class without test
        rows has no recall, one that was never predicted no precision.
    """
    found = []
    for right, rows, predicted in zip(
        np.diag(matrix).tolist(), matrix.sum(axis=1).tolist(), matrix.sum(axis=0).tolist(), strict=True
    ):
        found.append(
            {
                "rows": rows,
                "predicted": predicted,
                "recall": right / rows if rows else None,
                "recall_ci95": wilson(right, rows) if rows else None,
                "precision": right / predicted if predicted else None,
                "f1": 2 * right / (rows + predicted) if rows and predicted else None,
            }
        )
    return found
