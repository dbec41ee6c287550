"""What handing over the most uncertain rows to somebody else would buy: the figure on the rows that are kept."""

from __future__ import annotations

import numpy as np

from ensemble.combining.predictions import Array, Floats

SHARES = tuple(round(0.05 * step, 2) for step in range(20))
"""Shares of the rows that are rejected: none to 95 %."""


def kept_means(uncertainty: Array, contributions: Array) -> list[float]:
    """Mean contribution of the rows that are kept, for each share of `SHARES` rejected, the most uncertain
    first.

    ⌈n · (1 − share)⌉ rows are kept, so at least one; of equally uncertain rows the later go first.

    Args:
        uncertainty: ``(rows,)``, on any scale.
        contributions: ``(rows,)`` whose mean is the figure: right or wrong, a squared error.
    """
    order = np.argsort(uncertainty, kind="stable")
    running: Floats = np.cumsum(contributions[order], dtype=np.float64)
    rows = len(order)
    kept = [max(1, int(np.ceil(rows * (1 - share) - 1e-9))) for share in SHARES]
    return [float(running[count - 1] / count) for count in kept]
