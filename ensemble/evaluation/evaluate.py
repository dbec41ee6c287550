"""The one pure function from cached predictions to everything the report says about them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ensemble.combining.predictions import Task, average
from ensemble.combining.selection import Selection
from ensemble.evaluation.combiners import Combiner, combiners, undefined
from ensemble.evaluation.decomposition import squared_decomposition, zero_one_decomposition
from ensemble.evaluation.diversity import diversity
from ensemble.evaluation.equivalent import deep_ensemble_equivalent, member_curve
from ensemble.evaluation.figures import figures
from ensemble.evaluation.held_out import Calibration, HeldOut, at_bound, calibration_section, fit_held_out
from ensemble.evaluation.inputs import EvaluationInput, OutOfBag, ParameterAverage, Predictors, check
from ensemble.evaluation.intervals import Resampled, intervals, paired_test, resample
from ensemble.evaluation.metrics import METRICS, Metrics, Scores, loss_rows, metrics, score
from ensemble.evaluation.oob import combine_out_of_bag
from ensemble.evaluation.pooled import means_of_each
from ensemble.evaluation.size_curve import size_curve

__all__ = [
    "Evaluation",
    "EvaluationInput",
    "MemberMetrics",
    "OutOfBag",
    "ParameterAverage",
    "Predictors",
    "evaluate",
    "plain",
]


@dataclass(frozen=True)
class MemberMetrics:
    """What a row of the report's ``members`` says of one member; ``oob`` is None without resampling."""

    member: int
    test: Metrics
    oob: Metrics | None


@dataclass(frozen=True)
class Evaluation:
    """Sections of the report, as plain values; `as_json` puts them under the contract's keys.

    Attributes:
        selection: Greedy selection over the members; None with fewer than two validation rows.
        calibration: Temperature and conformal threshold; None likewise.
        notes: What was left out or has to be known, as sentences.
    """

    task: Task
    member_metrics: tuple[MemberMetrics, ...]
    single: dict[str, Any]
    combined: dict[str, Any]
    oob: dict[str, Any] | None
    diversity: dict[str, Any]
    uncertainty: dict[str, Any]
    size_curve: dict[str, Any]
    tests: list[dict[str, Any]]
    calibrated: dict[str, Any] | None
    figures: dict[str, Any]
    selection: Selection | None
    calibration: Calibration | None
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Sections of ``report.json``; what is not finite becomes None."""
        sections = {
            "single": self.single,
            "combined": self.combined,
            "oob": self.oob,
            "diversity": self.diversity,
            "uncertainty": self.uncertainty,
            "size_curve": self.size_curve,
            "tests": self.tests,
            "calibration": self.calibrated,
            "figures": self.figures,
            "notes": list(self.notes),
        }
        found: dict[str, Any] = plain(sections)
        return found


def evaluate(given: EvaluationInput) -> Evaluation:
    """Evaluate members and every combiner on the test rows. Pure: the same input gives the same figures.

    Raises:
        EnsembleError: inputs that do not fit together; see `ensemble.evaluation.inputs.check`.
    """
    check(given)
    held_out = fit_held_out(given)
    single = given.pooled["members"]
    combined = combiners(given, held_out)
    best, chosen_on = _best_member(given)
    contenders = {one.name: one.scores for one in combined if one.scores is not None}
    best_scores = score(given.members.test[best], given.test_targets, task=given.task)
    contenders |= {"members": single.scores, f"member {given.members.members[best]}": best_scores}
    resampled = dict(zip(contenders, resample(list(contenders.values()), seed=given.seed), strict=True))
    equivalents = _equivalents(given, held_out)
    return Evaluation(
        task=given.task,
        member_metrics=_member_metrics(given, single.metrics),
        single=_spread(given.task, single.metrics),
        combined={
            one.name: _section(given, one, resampled) | equivalents.get(one.name, {}) for one in combined
        },
        oob=_out_of_bag(given),
        diversity={
            one.origin: diversity(one.test, given.pooled[one.origin], members=one.members)
            for one in given.predictors
        },
        uncertainty={one.origin: _uncertainty(given, one) for one in given.predictors},
        size_curve={
            one.origin: size_curve(
                one.test,
                given.test_targets,
                task=given.task,
                seed=given.seed,
                single=given.pooled[one.origin].metrics,
            )
            for one in given.predictors
        },
        tests=_tests(contenders, resampled, chosen_on),
        calibrated=calibration_section(given, held_out.calibration) if held_out else None,
        figures=figures(given, held_out.calibration if held_out else None),
        selection=held_out.selection if held_out else None,
        calibration=held_out.calibration if held_out else None,
        notes=tuple(_notes(given, held_out, combined)),
    )


def _section(given: EvaluationInput, one: Combiner, resampled: dict[str, Resampled]) -> dict[str, Any]:
    found = undefined(given) if one.scores is None else one.scores.metrics()
    ci95 = dict(found) if one.scores is None else intervals(resampled[one.name])
    return {**found, **one.more, "ci95": ci95}


def _spread(task: Task, found: tuple[Metrics, ...]) -> dict[str, Any]:
    """Mean, standard deviation (n − 1), least and greatest over members; None where one has no meaning."""
    spread: dict[str, Any] = {}
    for name in METRICS[task]:
        values = [value for one in found if (value := one[name]) is not None]
        spread[name] = {
            "mean": float(np.mean(values)) if values else None,
            "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "min": min(values, default=None),
            "max": max(values, default=None),
        }
    return spread


def _best_member(given: EvaluationInput) -> tuple[int, str]:
    """The best single member: by validation rows, else by the test rows themselves, which favours it."""
    values, y, where = given.members.test, given.test_targets, "test"
    if given.valid_rows and given.members.valid is not None and given.valid_targets is not None:
        values, y, where = given.members.valid, given.valid_targets, "valid"
    losses = means_of_each(partial(loss_rows, task=given.task), values, y)
    return int(losses.argmin()), where


def _member_metrics(given: EvaluationInput, on_test: tuple[Metrics, ...]) -> tuple[MemberMetrics, ...]:
    out_of_bag: list[Metrics | None] = [None] * len(on_test)
    if given.oob is not None:
        for place, (rows, values) in enumerate(zip(given.oob.rows, given.oob.values, strict=True)):
            if len(rows):
                out_of_bag[place] = metrics(values, given.oob.targets[rows], task=given.task)
    return tuple(
        MemberMetrics(member, test, oob)
        for member, test, oob in zip(given.members.members, on_test, out_of_bag, strict=True)
    )


def _out_of_bag(given: EvaluationInput) -> dict[str, Any] | None:
    if given.oob is None:
        return None
    combined = combine_out_of_bag(given.oob, task=given.task)
    if not len(combined.rows):
        return {"coverage": 0.0, "rows": 0, **undefined(given)}
    scores = score(combined.values, given.oob.targets[combined.rows], task=given.task)
    (resampled,) = resample([scores], seed=given.seed)
    return {
        "coverage": combined.coverage,
        "rows": len(combined.rows),
        **scores.metrics(),
        "ci95": intervals(resampled),
    }


def _uncertainty(given: EvaluationInput, one: Predictors) -> dict[str, Any]:
    """Means over the test rows; ``variance`` is V̂, ``variance_unbiased`` the same with M − 1."""
    pooled, y = given.pooled[one.origin], given.test_targets
    found = pooled.uncertainty
    section: dict[str, Any] = {
        name: None if rows is None else float(rows.mean())
        for name, rows in (
            ("total", found.total),
            ("aleatoric", found.aleatoric),
            ("epistemic", found.epistemic),
        )
    }
    section["variance"] = float(pooled.variance.mean())
    predictors = len(one.members)
    section["variance_unbiased"] = (
        section["variance"] * predictors / (predictors - 1) if predictors > 1 else math.nan
    )
    section["squared_loss"] = squared_decomposition(pooled, y)
    if pooled.vote is not None:
        section["zero_one_loss"] = zero_one_decomposition(pooled, y)
    return section


def _tests(
    contenders: dict[str, Scores], resampled: dict[str, Resampled], chosen_on: str
) -> list[dict[str, Any]]:
    """The average against the mean member, the best member and every other combiner.

    The mean member (``members``) has no ECE, and its rmse is the root of the members' mean squared error.
    """
    found = []
    for other, scores in contenders.items():
        if other == "average":
            continue
        pair = (resampled["average"], resampled[other])
        entry = {"a": "average", "b": other, **paired_test(contenders["average"], scores, resampled=pair)}
        if other.startswith("member "):
            entry["chosen_on"] = chosen_on
        found.append(entry)
    return found


def _equivalents(given: EvaluationInput, held_out: HeldOut | None) -> dict[str, dict[str, Any]]:
    """Deep-ensemble equivalents of the other origins, by the name of their combiner."""
    members, y = given.members, given.valid_targets
    others = [one for one in given.predictors if one.origin != "members"]
    if given.task != "classification" or not others or held_out is None or y is None or members.valid is None:
        return {}
    rows = held_out.calibrating
    curve = member_curve(
        members.valid, members.test, rows=rows, valid_y=y[rows], test_y=given.test_targets, seed=given.seed
    )
    return {
        f"{one.origin}/average": {
            "deep_ensemble_equivalent": deep_ensemble_equivalent(
                curve,
                average(one.valid)[rows],
                given.pooled[one.origin].mean,
                valid_y=y[rows],
                test_y=given.test_targets,
            )
        }
        for one in others
        if one.valid is not None
    }


def _notes(given: EvaluationInput, held_out: HeldOut | None, combined: list[Combiner]) -> list[str]:
    notes = []
    if held_out is None:
        notes.append(
            "Greedy selection and calibration are left out: they need two validation rows, "
            f"and there are {given.valid_rows}."
        )
    elif held_out.calibration.temperature is not None and at_bound(held_out.calibration.temperature):
        notes.append(
            f"The temperature ran into its bound: the {held_out.calibration.rows} calibration rows "
            "are too few or too easy."
        )
    if held_out is not None and not math.isfinite(held_out.calibration.conformal.value):
        notes.append(
            f"{held_out.calibration.rows} calibration rows are too few for "
            f"{held_out.calibration.conformal.coverage:.0%} conformal coverage: everything is kept."
        )
    if given.task == "regression":
        notes.append("There is no vote: it has no meaning for regression.")
        if given.members.test.shape[2] == 1:
            notes.append("Members predict no variance, so they have neither NLL nor coverage.")
    else:
        absent = sorted(set(range(len(given.classes))) - set(np.unique(given.test_targets).tolist()))
        if absent:
            named = ", ".join(repr(given.classes[label]) for label in absent[:5])
            more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
            notes.append(f"Classes without test rows: {named}{more}.")
    notes += [f"The predictions of {one.name} are not finite." for one in combined if one.scores is None]
    return notes


def plain(value: Any) -> Any:
    """Plain JSON values: NumPy's become Python's, and what is not finite becomes None."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
