"""What the report draws, as plain numbers: a picture can be made again from ``report.json`` alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from ensemble.combining.calibration import apply_temperature
from ensemble.combining.predictions import Array, Floats
from ensemble.evaluation.by_class import LARGEST_MATRIX, confusion, per_class
from ensemble.evaluation.held_out import Calibration
from ensemble.evaluation.inputs import EvaluationInput
from ensemble.evaluation.metrics import NORMAL_95, accuracy_rows, squared_error_rows
from ensemble.evaluation.notable import notable_classes, notable_values
from ensemble.evaluation.rejection import SHARES, kept_means
from ensemble.evaluation.reliability import coverage_curve, reliability
from ensemble.evaluation.uncertainty import entropy

MOST_POINTS = 400
"""Of so many rows, spread evenly over the targets, predicted is drawn against true."""


def figures(given: EvaluationInput, calibration: Calibration | None) -> dict[str, Any]:
    """The report's section ``figures``, of the members' average on the test rows.

    Returns:
        ``rejection`` and ``rows`` for either task; for classification ``reliability`` (the average as it is and
        ``calibrated``, None without a temperature), ``confusion`` (None beyond 100 classes) and ``per_class``;
        for regression ``points`` and ``coverage`` (None without a variance).
    """
    if given.task == "classification":
        return _classification(given, calibration)
    return _regression(given)


def _classification(given: EvaluationInput, calibration: Calibration | None) -> dict[str, Any]:
    y, pooled = given.test_targets, given.pooled["members"]
    mean, majority = pooled.mean, pooled.vote
    assert majority is not None
    total = entropy(mean)
    matrix = confusion(mean.argmax(axis=1), y, classes=len(given.classes))
    tempered = None
    if calibration is not None and calibration.temperature is not None:
        tempered = reliability(apply_temperature(mean, calibration.temperature), y)
    return {
        "reliability": {"average": reliability(mean, y), "calibrated": tempered},
        "confusion": matrix.tolist() if len(given.classes) <= LARGEST_MATRIX else None,
        "per_class": per_class(matrix),
        "rejection": {
            "rejected": list(SHARES),
            "average": kept_means(total, accuracy_rows(mean, y)).tolist(),
            "members": pooled.kept,
        },
        "rows": notable_classes(mean, y, total=total, shares=majority.shares),
    }


def _regression(given: EvaluationInput) -> dict[str, Any]:
    y, pooled = given.test_targets, given.pooled["members"]
    mean, epistemic = pooled.mean, pooled.variance
    likely = mean.shape[1] == 2
    width = mean[:, 1] if likely else epistemic
    return {
        "points": _points(mean, y),
        "coverage": coverage_curve(mean, y) if likely else None,
        "rejection": {
            "rejected": list(SHARES),
            "average": np.sqrt(kept_means(width, squared_error_rows(mean, y))).tolist(),
            "members": None if pooled.kept is None else np.sqrt(pooled.kept).tolist(),
        },
        "rows": notable_values(mean, y, epistemic=epistemic),
    }


def _points(mean: Floats, y: Array) -> list[list[float | None]]:
    """``[true, predicted, low95, high95]`` of rows at even ranks of the target, the ends None without a
    variance.
    """
    ranks = np.linspace(0, len(y) - 1, min(len(y), MOST_POINTS)).round().astype(int)
    chosen = np.argsort(y, kind="stable")[ranks]
    found: list[list[float | None]] = []
    for row in chosen.tolist():
        half = NORMAL_95 * float(np.sqrt(mean[row, 1])) if mean.shape[1] == 2 else None
        centre = float(mean[row, 0])
        ends = [None, None] if half is None else [centre - half, centre + half]
        found.append([float(y[row]), centre, *ends])
    return found
