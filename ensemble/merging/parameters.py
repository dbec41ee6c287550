"""Networks in, a network out: the mean of several networks' parameters, and the line between two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.errors import UsageError

Weights = dict[str, NDArray[Any]]
"""A network's ``state_dict`` as CPU arrays."""


def average(weights: Iterable[Weights]) -> Weights:
    """w̄ = (1/M) Σ w_m over floating-point entries; all others (counters) are the first network's.

    Sums run in float64 and are cast back, so the average of identical float32 networks is that network bit
    for bit.
    One sum is held besides the first network, however many there are. Batch norm has to be refreshed
    afterwards.

    Raises:
        UsageError: no network, or one whose keys, shapes or types differ from the first's.
    """
    networks = iter(weights)
    first = next(networks, None)
    if first is None:
        raise UsageError("there is no network to average")
    sums = {key: value.astype(np.float64) for key, value in first.items() if is_averaged(value)}
    count = 1
    for count, other in enumerate(networks, start=2):
        check_same(first, other, what=f"networks 1 and {count} of an average")
        for key, total in sums.items():
            total += other[key]
    return {
        key: (sums[key] / count).astype(value.dtype) if key in sums else value.copy()
        for key, value in first.items()
    }


def interpolate(a: Weights, b: Weights, alpha: float) -> Weights:
    """(1 − α) a + α b over floating-point entries, computed in float64; all others are those of ``a``.

    Raises:
        UsageError: α outside [0, 1], or networks whose keys, shapes or types differ.
    """
    if not 0 <= alpha <= 1:
        raise UsageError(f"alpha is {alpha}, but a point between two networks has one from 0 to 1")
    check_same(a, b, what="the two networks")
    return {
        key: ((1 - alpha) * value.astype(np.float64) + alpha * b[key].astype(np.float64)).astype(value.dtype)
        if is_averaged(value)
        else value.copy()
        for key, value in a.items()
    }


def differences(a: Weights, b: Weights) -> list[str]:
    """What keeps two networks from being combined entry by entry, said plainly; nothing where they agree.

    The order of the keys does not matter.
    """
    found = [f"the second has no {key!r}" for key in a if key not in b]
    found += [f"the first has no {key!r}" for key in b if key not in a]
    for key in (key for key in a if key in b):
        if a[key].shape != b[key].shape:
            found.append(f"{key!r} has shape {a[key].shape} against {b[key].shape}")
        elif a[key].dtype != b[key].dtype:
            found.append(f"{key!r} has type {a[key].dtype} against {b[key].dtype}")
    return found


def check_same(a: Weights, b: Weights, *, what: str) -> None:
    """Refuse two networks that differ in keys, shapes or types.

    Raises:
        UsageError: names ``what`` and lists the differences.
    """
    found = differences(a, b)
    if found:
        raise UsageError(
            f"{what} differ: {'; '.join(found)}; only networks of one architecture can be merged"
        )


def is_averaged(value: NDArray[Any]) -> bool:
    """Whether an entry takes part in an average: floating-point numbers do, counters are copied."""
    return bool(np.issubdtype(value.dtype, np.floating))
