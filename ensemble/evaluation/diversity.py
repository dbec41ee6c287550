"""How much predictors differ from one another: an ensemble of equals is worth one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ensemble.combining.predictions import Array, Floats, vote
from ensemble.evaluation.pooled import Pooled

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


def diversity(values: Array, pooled: Pooled, *, members: tuple[int, ...]) -> dict[str, Any]:
    """The report's section for the predictors of one origin.

    Args:
        values: ``(predictors, rows, outputs)``.
        pooled: What they say together.
        members: The member behind each predictor, to tell pairs within one member from pairs of two.

    Returns:
        ``disagreement``: mean over all pairs of labels that differ, or for regression of squared differences.
        ``normalized``: the same over the members' mean error (rate, or squared), as Fort et al. 2019
        (arXiv 1912.02757); None where there is no error. ``within_member`` and ``between_members``: the mean
        over such pairs, None where there are none. ``pairwise``: the table, None beyond 100 predictors, of which
        the means are then had from sums of each row: no pair is left out. All None for one predictor but the
        table.
    """
    means = _by_table if len(values) <= LARGEST_TABLE else _by_sums
    mean, within, between, table = means(values, pooled, np.array(members))
    error = _mean_error(pooled)
    return {
        "disagreement": mean,
        "normalized": mean / error if mean is not None and error > 0 else None,
        "within_member": within,
        "between_members": between,
        "pairwise": table,
    }


Means = tuple[float | None, float | None, float | None, list[list[float]] | None]
"""Over all pairs, those within a member, those of two members; and the table."""


def _by_table(values: Array, pooled: Pooled, behind: Array) -> Means:
    if pooled.vote is not None:
        table = disagreement(np.stack([one.argmax(axis=1) for one in values]))
    else:
        table = squared_difference(values[:, :, 0].astype(np.float64))
    pairs = np.triu(np.ones(table.shape, dtype=bool), k=1)
    same = behind[:, None] == behind[None, :]
    all_, within, between = (
        float(table[some].mean()) if some.any() else None for some in (pairs, pairs & same, pairs & ~same)
    )
    return all_, within, between, table.round(6).tolist()


def _by_sums(values: Array, pooled: Pooled, behind: Array) -> Means:
    """Σ_{i<j} d_ij of each row without its pairs: n(n − 1)/2 − Σ_k n_k(n_k − 1)/2 where n_k of n name class k, or
    n Σ δ_i² − (Σ δ_i)² of differences δ from any centre, which is n² V̂.
    """
    predictors, rows = values.shape[:2]
    if pooled.vote is not None:
        everybody = _named_apart(pooled.vote.shares * predictors)
    else:
        everybody = float(pooled.variance.sum()) * predictors**2
    pairs = _pairs(predictors)
    inside, pairs_inside = 0.0, 0
    for some in _groups(behind):
        inside += _apart(values, some, pooled)
        pairs_inside += _pairs(len(some))
    outside = pairs - pairs_inside
    return (
        everybody / (pairs * rows),
        inside / (pairs_inside * rows) if pairs_inside else None,
        (everybody - inside) / (outside * rows) if outside else None,
        None,
    )


def _apart(values: Array, chosen: Array, pooled: Pooled) -> float:
    """The sum over rows and over pairs of the chosen predictors."""
    if pooled.vote is not None:
        return _named_apart(vote(values[chosen]).shares * len(chosen))
    apart = values[chosen, :, 0] - pooled.mean[:, 0]
    return float(np.maximum(len(chosen) * (apart**2).sum(axis=0) - apart.sum(axis=0) ** 2, 0).sum())


def _named_apart(named: Floats) -> float:
    """Pairs that differ, of ``(rows, classes)`` how many name each class."""
    together = (named * (named - 1)).sum() / 2
    return float(len(named) * _pairs(round(named[0].sum())) - together)


def _pairs(count: int) -> int:
    return count * (count - 1) // 2


def _groups(behind: Array) -> list[Array]:
    """Positions of the predictors of each member that has several."""
    order = np.argsort(behind, kind="stable")
    found = np.split(order, np.flatnonzero(np.diff(behind[order])) + 1)
    return [one for one in found if len(one) > 1]


def _mean_error(pooled: Pooled) -> float:
    rows = pooled.scores.rows["rmse" if pooled.vote is None else "accuracy"]
    assert rows is not None
    return float(rows.mean() if pooled.vote is None else (1 - rows).mean())
