"""Deep-ensemble equivalent: what cheap predictors are worth in independent members (arXiv 2002.06470)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ensemble.combining.calibration import apply_temperature, fit_temperature
from ensemble.combining.predictions import Array, Integers
from ensemble.evaluation.metrics import nll_rows
from ensemble.evaluation.size_curve import orders, prefixes, sizes

SUBSETS = 5
LARGEST_SIZES = 12


@dataclass(frozen=True)
class MemberCurve:
    """Mean calibrated log-likelihood of ensembles of independent members, by size."""

    sizes: tuple[int, ...]
    log_likelihood: tuple[float, ...]


def calibrated_log_likelihood(valid: Array, test: Array, *, valid_y: Array, test_y: Array) -> float:
    """Mean log p_T[y] on test rows of ``(rows, classes)`` probabilities, T fitted on the validation rows."""
    tempered = apply_temperature(test, fit_temperature(valid, valid_y))
    return -float(nll_rows(tempered, test_y).mean())


def member_curve(
    valid: Array, test: Array, *, rows: Integers, valid_y: Array, test_y: Array, seed: int
) -> MemberCurve:
    """Of the first members of 5 random orders, at no more than 12 sizes spaced geometrically.

    Args:
        valid: ``(members, validation rows, classes)``.
        rows: The validation rows kept for calibration, whose targets ``valid_y`` are.
        test: ``(members, test rows, classes)``.
    """
    wanted = sizes(len(test), LARGEST_SIZES)
    found: dict[int, list[float]] = {size: [] for size in wanted}
    for order in orders(len(test), SUBSETS, seed=seed):
        pairs = zip(
            prefixes(valid, order, task="classification", wanted=wanted),
            prefixes(test, order, task="classification", wanted=wanted),
            strict=True,
        )
        for (size, of_valid), (_, of_test) in pairs:
            value = calibrated_log_likelihood(of_valid[rows], of_test, valid_y=valid_y, test_y=test_y)
            found[size].append(value)
    return MemberCurve(tuple(wanted), tuple(float(np.mean(found[size])) for size in wanted))


def deep_ensemble_equivalent(
    curve: MemberCurve, valid: Array, test: Array, *, valid_y: Array, test_y: Array
) -> dict[str, Any]:
    """The smallest number of independent members with at least the predictors' calibrated log-likelihood.

    Linear between the sizes of the curve.

    Args:
        curve: Of the independent members, on the same rows.
        valid, test: ``(rows, classes)`` averages of the origin in question.

    Returns:
        ``{"members": number, "relation": "=" | "<=" | ">="}``: at most 1 where even one member is as good, at
        least all of them where they are not enough.
    """
    ours = calibrated_log_likelihood(valid, test, valid_y=valid_y, test_y=test_y)
    reached = [at for at, value in enumerate(curve.log_likelihood) if value >= ours]
    if not reached:
        return {"members": float(curve.sizes[-1]), "relation": ">="}
    if reached[0] == 0:
        return {"members": float(curve.sizes[0]), "relation": "<="}
    high = reached[0]
    between = slice(high - 1, high + 1)
    members = np.interp(ours, curve.log_likelihood[between], curve.sizes[between])
    return {"members": float(members), "relation": "="}
