"""New rows beside a run's own test rows: what became of accuracy, calibration and uncertainty."""

from __future__ import annotations

from typing import Any

import numpy as np

from ensemble.combining.predictions import Array, Floats
from ensemble.evaluation.evaluate import Evaluation, EvaluationInput, plain
from ensemble.evaluation.intervals import Resampled, interval, intervals, resample
from ensemble.evaluation.metrics import score


def shift(
    own: EvaluationInput, new: EvaluationInput, *, evaluations: tuple[Evaluation, Evaluation]
) -> dict[str, Any]:
    """The average of the members on both, with the difference new − own.

    The rows are different ones, so the difference is not paired: its interval takes both bootstraps as independent.

    Args:
        own, new: Inputs that differ in the test rows.
        evaluations: Of them, in that order.

    Returns:
        ``{"own", "new", "difference", "more_uncertain"}``: of each side ``{"rows", METRIC…, "ci95", "members",
        "calibrated", "conformal", "total", "epistemic"}`` (``members``: the mean member's metrics); the difference as
        ``{METRIC: {"value", "ci95"}}``; and the probability that a new row is more uncertain than an own one (½ where
        nothing tells them apart), by total entropy or predictive variance.
    """
    drawn, sides = [], []
    for given, evaluation in zip((own, new), evaluations, strict=True):
        scores = score(given.pooled["members"].mean, given.test_targets, task=given.task)
        (resampled,) = resample([scores], seed=given.seed)
        drawn.append(resampled)
        sides.append(_side(given, evaluation) | scores.metrics() | {"ci95": intervals(resampled)})
    found: dict[str, Any] = plain(
        {
            "own": sides[0],
            "new": sides[1],
            "difference": _differences(sides, drawn),
            "more_uncertain": probability_of_more(_uncertainty(new), _uncertainty(own)),
        }
    )
    return found


def probability_of_more(first: Array, second: Array) -> float:
    """P(first > second) + ½ P(first = second) of values drawn from each: the area under the ROC curve (Mann and
    Whitney 1947).
    """
    ordered = np.sort(second)
    below = np.searchsorted(ordered, first, side="left")
    to = np.searchsorted(ordered, first, side="right")
    return float((below + to).mean() / 2 / len(second))


def _side(given: EvaluationInput, evaluation: Evaluation) -> dict[str, Any]:
    calibrated = evaluation.calibrated or {}
    uncertainty = evaluation.uncertainty["members"]
    return {
        "rows": len(given.test_targets),
        "members": {name: found["mean"] for name, found in evaluation.single.items()},
        "calibrated": calibrated.get("test"),
        "conformal": calibrated.get("conformal"),
        "total": uncertainty["total"],
        "epistemic": uncertainty["epistemic"],
    }


def _differences(sides: list[dict[str, Any]], drawn: list[Resampled]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, before in drawn[0].items():
        after = drawn[1][name]
        if before is not None and after is not None:
            # Both come of one stream of random numbers; a resample and the one before it are independent.
            apart = after - np.roll(before, 1)
            found[name] = {"value": sides[1][name] - sides[0][name], "ci95": interval(apart)}
    return found


def _uncertainty(given: EvaluationInput) -> Floats:
    found = given.pooled["members"].uncertainty
    return found.epistemic if found.total is None else found.total
