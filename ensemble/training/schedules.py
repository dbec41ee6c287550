"""The learning rate as a function of the step, and where snapshots are taken. Pure; nothing to save or restore."""

from __future__ import annotations

import math

from ensemble.config import TrainConfig
from ensemble.errors import UsageError

ONECYCLE_RISE = 0.3
ONECYCLE_START = 1 / 25
"""Share of the run in which the rate rises, and where it starts, as in Smith & Topin, arXiv 1708.07120."""


def learning_rate(train: TrainConfig, step: int, steps: int) -> float:
    """Rate of step ``step`` (from 0) of ``steps``; ``train.lr`` is the peak.

    constant  α₀
    linear    α₀ in the first half of the run, then falling linearly to 0: a tail for dense snapshots
    cosine    α₀/2 · (cos(π t/T) + 1)
    cyclic    the same within each of C cycles: α(t) = α₀/2 · (cos(π · t_c/T_c) + 1)   (arXiv 1704.00109)
    onecycle  linear from α₀/25 to α₀, then cosine to 0   (arXiv 1708.07120)
    """
    peak = train.lr
    assert peak is not None, "the configuration is resolved before anything is trained"
    if train.schedule == "constant":
        return peak
    if train.schedule == "linear":
        return peak * min(1.0, 2 * (1 - step / steps))
    if train.schedule == "cosine":
        return _anneal(peak, step / steps)
    if train.schedule == "cyclic":
        cycles = train.snapshots
        cycle = ((step + 1) * cycles - 1) // steps  # the largest k with ⌊kT/C⌋ ≤ step
        begin, end = cycle * steps // cycles, (cycle + 1) * steps // cycles
        return _anneal(peak, (step - begin) / (end - begin))
    rise = max(1, round(ONECYCLE_RISE * steps))
    if step < rise:
        return peak * (ONECYCLE_START + (1 - ONECYCLE_START) * step / rise)
    return _anneal(peak, (step - rise) / max(1, steps - rise))


def snapshot_steps(train: TrainConfig, steps: int) -> tuple[int, ...]:
    """Numbers of steps after which a snapshot is taken, the last one at the end of the run.

    ``cyclic``: each cycle's end, ⌊(k+1)T/C⌋. Any other schedule: evenly along the last half of the run.

    Raises:
        UsageError: more snapshots than steps, or a cycle shorter than two steps.
    """
    count = train.snapshots
    if count == 0:
        return ()
    if train.schedule == "cyclic":
        if steps < 2 * count:
            raise UsageError(f"{count} snapshots in {steps} steps: a cycle needs at least two steps")
        return tuple((k + 1) * steps // count for k in range(count))
    if count > steps - steps // 2:
        raise UsageError(
            f"{count} snapshots, but the last half of the run has only {steps - steps // 2} steps; "
            "use fewer snapshots or more epochs"
        )
    half = steps - steps // 2
    return tuple(steps // 2 + (k + 1) * half // count for k in range(count))


def _anneal(peak: float, done: float) -> float:
    return peak / 2 * (math.cos(math.pi * done) + 1)
