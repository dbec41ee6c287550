"""What is learned from validation rows after training: half of them select, the other half calibrates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ensemble.combining.calibration import (
    TEMPERATURES,
    Threshold,
    apply_temperature,
    conformal_intervals,
    conformal_sets,
    fit_conformal,
    fit_conformal_width,
    fit_temperature,
)
from ensemble.combining.predictions import Integers, combine
from ensemble.combining.selection import Selection, greedy
from ensemble.evaluation.inputs import EvaluationInput
from ensemble.evaluation.metrics import metrics
from ensemble.streams import RunPurpose, generator, run_sequence


@dataclass(frozen=True)
class Calibration:
    """What was fitted on the averaged members; ``temperature`` is None for regression."""

    rows: int
    temperature: float | None
    conformal: Threshold


@dataclass(frozen=True)
class HeldOut:
    """Selection and calibration of a run, with the validation rows each had."""

    selecting: Integers
    calibrating: Integers
    selection: Selection
    calibration: Calibration


def split_holdout(rows: int, *, seed: int) -> tuple[Integers, Integers]:
    """Positions that select and positions that calibrate, disjoint, sorted; an odd row calibrates."""
    order = generator(run_sequence(seed, RunPurpose.HOLDOUT)).permutation(rows)
    return np.sort(order[: rows // 2]), np.sort(order[rows // 2 :])


def fit_held_out(given: EvaluationInput) -> HeldOut | None:
    """Greedy selection on one half, temperature and conformal threshold on the other; None with fewer than
    two rows.

    The threshold is fitted to the average as it is, not to the tempered one: a temperature fitted on the same
    rows would void the guarantee.
    """
    valid, y = given.members.valid, given.valid_targets
    if valid is None or y is None or len(y) < 2:
        return None
    selecting, calibrating = split_holdout(len(y), seed=given.seed)
    selection = greedy(valid, y, task=given.task, rows=selecting)
    mean, target = combine(valid, task=given.task)[calibrating], y[calibrating]
    if given.task == "classification":
        calibration = Calibration(len(target), fit_temperature(mean, target), fit_conformal(mean, target))
    else:
        calibration = Calibration(len(target), None, fit_conformal_width(mean, target))
    return HeldOut(selecting, calibrating, selection, calibration)


def calibration_section(given: EvaluationInput, calibration: Calibration) -> dict[str, Any]:
    """How the calibrated average does on the test rows, beside what was fitted."""
    mean, y = given.pooled["members"].mean, given.test_targets
    threshold = calibration.conformal
    conformal: dict[str, Any] = {"coverage": threshold.coverage, "threshold": threshold.value}
    section: dict[str, Any] = {"rows": calibration.rows, "temperature": calibration.temperature}
    if calibration.temperature is not None:
        section["test"] = metrics(apply_temperature(mean, calibration.temperature), y, task="classification")
        kept = conformal_sets(mean, threshold)
        covered = kept[np.arange(len(y)), y]
        conformal["mean_set_size"] = float(kept.sum(axis=1).mean())
    else:
        low, high = conformal_intervals(mean, threshold).T
        covered = (low <= y) & (y <= high)
        conformal["mean_width"] = float((high - low).mean())
    return {**section, "conformal": {**conformal, "test_coverage": float(covered.mean())}}


def at_bound(temperature: float) -> bool:
    """Whether the fit ran towards its bounds (the loss is flat before them): rows were too few or too easy."""
    low, high = TEMPERATURES
    return not 2 * low < temperature < high / 2
