"""The loss barrier on the line between two networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ensemble.merging.parameters import Weights, interpolate

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Barrier:
    """Losses along the line and their largest excess over the chord between its ends."""

    alphas: tuple[float, ...]
    losses: tuple[float, ...]
    height: float


def barrier(
    a: Weights, b: Weights, loss: Callable[[Weights], float], *, alphas: Sequence[float] = ALPHAS
) -> Barrier:
    """max_α L((1 − α) A + α B) − (1 − α) L(A) − α L(B)   (Frankle et al. 2020, arXiv 1912.05671).

    Args:
        a, b: Two networks of one architecture.
        loss: Of a network; it refreshes batch norm first where there is any, at the ends as in between.
        alphas: Points of the line; 0 and 1 must be among them.

    Raises:
        UsageError: the networks differ.
    """
    losses = {alpha: loss(interpolate(a, b, alpha)) for alpha in alphas}
    excess = (value - (1 - alpha) * losses[0.0] - alpha * losses[1.0] for alpha, value in losses.items())
    return Barrier(tuple(losses), tuple(losses.values()), max(excess))
