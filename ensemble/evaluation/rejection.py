"""What handing over the most uncertain rows to somebody else would buy: the figure on the rows that are kept."""

from __future__ import annotations

import numpy as np

from ensemble.combining.predictions import Array, Floats

SHARES = tuple(round(0.05 * step, 2) for step in range(20))
"""Shares of the rows that are rejected: none to 95 %."""


def kept_means(uncertainty: Array, contributions: Array) -> Floats:
    """Mean contribution of the rows that are kept, for each share of `SHARES` rejected, the most uncertain
    first.

    ⌈n · (1 − share)⌉ rows are kept, so at least one; of equally uncertain rows the later go first.

    Args:
        uncertainty: ``(…, rows)``, on any scale.
        contributions: ``(…, rows)`` whose mean is the figure: right or wrong, a squared error.

    Returns:
        ``(…, shares)``.
    """
    order = np.argsort(uncertainty, axis=-1, kind="stable")
    running = np.cumsum(np.take_along_axis(contributions, order, axis=-1), axis=-1, dtype=np.float64)
    rows = order.shape[-1]
    kept = np.array([max(1, int(np.ceil(rows * (1 - share) - 1e-9))) for share in SHARES])
    means: Floats = np.take(running, kept - 1, axis=-1) / kept
    return means
