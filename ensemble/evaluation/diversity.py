"""How much predictors differ from one another: an ensemble of equals is worth one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ensemble.combining.predictions import Array, Floats, Task

LARGEST_TABLE = 100
"""Beyond so many predictors the table of pairs is left out: nobody reads it and it grows as a square."""


def disagreement(labels: Array) -> Floats:
    """Fraction of rows on which each pair's labels differ: ``(predictors, rows)`` → ``(predictors,) * 2``."""
    agreed = np.zeros((len(labels), len(labels)), dtype=np.float64)
    for label in np.unique(labels):
        chosen = (labels == label).astype(
            np.float32
        )  # float32 counts up to 2^24 rows exactly, and BLAS adds them
        agreed += chosen @ chosen.T
    differ: Floats = 1 - agreed / labels.shape[1]
    return differ


def squared_difference(means: Array) -> Floats:
    """Mean over rows of (μ_i − μ_j)² of each pair: ``(predictors, rows)`` → ``(predictors,) * 2``.

    Over the members' mean squared error it is 0 for copies and 2 for members whose errors are uncorrelated.
    """
    centred = means - means.mean(axis=0, dtype=np.float64)
    product = centred @ centred.T / means.shape[1]
    own = np.diag(product)
    distance: Floats = np.maximum(own[:, None] + own[None, :] - 2 * product, 0)
    np.fill_diagonal(distance, 0)
    return distance


def diversity(values: Array, y: Array, *, task: Task, members: tuple[int, ...]) -> dict[str, Any]:
    """The report's section for the predictors of one origin.

    Args:
        values: ``(predictors, rows, outputs)``.
        y: ``(rows,)``.
        members: The member behind each predictor, to tell pairs within one member from pairs of two.

    Returns:
        ``disagreement``: mean over pairs of labels that differ, or for regression of squared differences.
        ``normalized``: the same over the members' mean error (rate, or squared), as Fort et al. 2019
        (arXiv 1912.02757); None where there is no error. ``within_member`` and ``between_members``: the mean
        over such pairs, None where there are none. ``pairwise``: the table, None beyond 100 predictors. All
        None for one predictor but the table.
    """
    if task == "classification":
        labels = np.stack([one.argmax(axis=1) for one in values])
        table, error = disagreement(labels), float((labels != y).mean())
    else:
        means = values[:, :, 0].astype(np.float64)
        table, error = squared_difference(means), float(np.square(means - y).mean())
    pairs = np.triu(np.ones(table.shape, dtype=bool), k=1)
    behind = np.array(members)
    same = behind[:, None] == behind[None, :]
    mean = _mean(table, pairs)
    return {
        "disagreement": mean,
        "normalized": mean / error if mean is not None and error > 0 else None,
        "within_member": _mean(table, pairs & same),
        "between_members": _mean(table, pairs & ~same),
        "pairwise": table.round(6).tolist() if len(table) <= LARGEST_TABLE else None,
    }


def _mean(table: Floats, pairs: Array) -> float | None:
    return float(table[pairs].mean()) if pairs.any() else None
