"""How far a figure would move with other test rows: bootstrap intervals and paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ensemble.combining.predictions import Array, Floats
from ensemble.errors import EnsembleError
from ensemble.evaluation.metrics import NORMAL_95, Scores
from ensemble.streams import RunPurpose, generator, run_sequence

RESAMPLES = 1000
CHUNK = 2_000_000
"""Entries of the matrix of row weights that is held at once: 16 MB."""

Resampled = dict[str, Floats | None]
"""Metric → ``(resamples,)`` values."""


def resample(scores: Sequence[Scores], *, seed: int, resamples: int = RESAMPLES) -> list[Resampled]:
    """Each metric on rows drawn with replacement, the same rows for all ``scores``, so that differences are
    paired.

    A resample is a vector of row weights; all metrics are functions of weighted means, so this is a matrix
    product.
    """
    rows = len(next(value for value in scores[0].rows.values() if value is not None))
    stacked = [one.columns() for one in scores]
    ends = np.cumsum([columns.shape[1] for columns in stacked])[:-1]
    table = np.concatenate(stacked, axis=1)
    random = generator(run_sequence(seed, RunPurpose.REPORT))
    means = np.empty((resamples, table.shape[1]))
    step = max(1, CHUNK // rows)
    for first in range(0, resamples, step):
        count = min(step, resamples - first)
        weights = np.empty((count, rows))
        for one in weights:
            one[:] = np.bincount(random.integers(0, rows, size=rows), minlength=rows)
        means[first : first + count] = weights @ table / rows
    return [
        one.metrics_of_means(part) for one, part in zip(scores, np.split(means, ends, axis=1), strict=True)
    ]


def interval(values: Floats) -> list[float]:
    """The central 95 % of resampled values (percentile bootstrap, Efron 1979): ``[low, high]``."""
    low, high = np.quantile(values, [0.025, 0.975])
    return [float(low), float(high)]


def intervals(resampled: Resampled) -> dict[str, list[float] | None]:
    """The contract's ``ci95``: metric → ``[low, high]``, None where the metric has no meaning."""
    return {name: None if values is None else interval(values) for name, values in resampled.items()}


def wilson(successes: int, trials: int) -> list[float]:
    """95 % score interval of a share (Wilson 1927): ``[low, high]``, which stays inside [0, 1].

    (p̂ + z²/2n ± z √(p̂(1 − p̂)/n + z²/4n²)) / (1 + z²/n).
    """
    share, z2 = successes / trials, NORMAL_95**2
    centre = share + z2 / (2 * trials)
    half = NORMAL_95 * np.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    low, high = (centre - half) / (1 + z2 / trials), (centre + half) / (1 + z2 / trials)
    return [max(0.0, float(low)), min(1.0, float(high))]


def mcnemar(first: Array, second: Array) -> float:
    """Exact two-sided p of McNemar's test that two classifiers are right equally often.

    Only rows on which exactly one of them is right count; under the null each is as likely to be either's:
    p = min(1, 2 · P(Binomial(n, ½) ≤ min(b, c))) of n = b + c, with P(Binomial(n, ½) ≤ k) = Σ_{i ≤ k} (n over i) / 2^n.
    With no such row p is 1.

    Args:
        first, second: ``(rows,)`` whether each was right, on the same rows.
    """
    b = int(((first > 0) & (second == 0)).sum())
    c = int(((first == 0) & (second > 0)).sum())
    n, below = b + c, np.arange(min(b, c))
    logs = np.concatenate([[0], np.cumsum(np.log((n - below) / (below + 1)))])  # of n over 0, 1, …
    return min(1.0, 2 * float(np.exp(logs - n * np.log(2)).sum()))


def paired_test(first: Scores, second: Scores, *, resampled: tuple[Resampled, Resampled]) -> dict[str, Any]:
    """Differences first − second with their paired intervals, and McNemar's p where both are right or wrong
    by row.

    Returns:
        ``{"mcnemar_p": p | None, "difference": {METRIC: {"value", "ci95"}}}`` for the metrics that both have.
    """
    ours, theirs = first.metrics(), second.metrics()
    difference: dict[str, Any] = {}
    for name, value in ours.items():
        other, drawn, drawn_other = theirs[name], resampled[0][name], resampled[1][name]
        if value is not None and other is not None and drawn is not None and drawn_other is not None:
            difference[name] = {"value": value - other, "ci95": interval(drawn - drawn_other)}
    right, other_right = first.rows.get("accuracy"), second.rows.get("accuracy")
    p = None
    if right is not None and other_right is not None and _by_row(right) and _by_row(other_right):
        p = mcnemar(right, other_right)
    return {"mcnemar_p": p, "difference": difference}


def compare(first: Scores, second: Scores, *, seed: int) -> dict[str, Any]:
    """`paired_test` of two predictors or combiners, of one run or of two, on the same test rows.

    Raises:
        EnsembleError: they were not scored on as many rows.
    """
    lengths = [len(next(v for v in one.rows.values() if v is not None)) for one in (first, second)]
    if lengths[0] != lengths[1]:
        raise EnsembleError(f"a paired test needs the same rows, but there are {lengths[0]} and {lengths[1]}")
    ours, theirs = resample([first, second], seed=seed)
    return paired_test(first, second, resampled=(ours, theirs))


def _by_row(right: Floats) -> bool:
    """The mean member is right by fractions, of which McNemar's test knows nothing."""
    return bool(((right == 0) | (right == 1)).all())
