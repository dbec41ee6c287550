"""Every way of making one prediction out of many, scored on the test rows from the same predictions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ensemble.combining.predictions import combine
from ensemble.errors import EnsembleError
from ensemble.evaluation.held_out import HeldOut
from ensemble.evaluation.inputs import EvaluationInput, ParameterAverage, Predictors
from ensemble.evaluation.metrics import (
    METRICS,
    Metrics,
    Scores,
    accuracy_rows,
    loss_rows,
    score,
    score_vote,
    squared_error_rows,
)
from ensemble.evaluation.pooled import means_of_each

ACCURACY_ALLOWANCE = 0.01
RMSE_ALLOWANCE = 1.05
"""An average of parameters is advised where it is at most one point, or 5 %, worse than the mean member."""


@dataclass(frozen=True)
class Combiner:
    """One combiner on the test rows. ``scores`` is None where its predictions are not finite."""

    name: str
    scores: Scores | None
    more: dict[str, Any] = field(default_factory=dict)


def combiners(given: EvaluationInput, held_out: HeldOut | None) -> list[Combiner]:
    """All of them, in the order of the report: ``average``, ``vote``, ``parameters``, ``greedy``, then other
    origins'.

    Those of an origin other than the members are named ``ORIGIN/average`` and so on. There is no vote for
    regression, and no greedy selection without validation rows.
    """
    found: list[Combiner] = []
    for one in sorted(given.predictors, key=lambda each: each.origin != "members"):
        prefix = "" if one.origin == "members" else f"{one.origin}/"
        pooled = given.pooled[one.origin]
        found.append(Combiner(f"{prefix}average", score(pooled.mean, given.test_targets, task=given.task)))
        if (majority := pooled.vote) is not None:
            found.append(
                Combiner(
                    f"{prefix}vote", score_vote(majority, given.test_targets), {"tie_rate": majority.tie_rate}
                )
            )
        found += _parameter_averages(given, one, prefix)
        if one.origin == "members" and held_out is not None:
            found.append(_greedy(given, held_out))
    return found


def _greedy(given: EvaluationInput, held_out: HeldOut) -> Combiner:
    weights = held_out.selection.weights
    values = combine(given.members.test, task=given.task, weights=weights)
    more = {"chosen": weights.tolist(), "selected_on": len(held_out.selecting)}
    return Combiner("greedy", score(values, given.test_targets, task=given.task), more)


def _parameter_averages(given: EvaluationInput, one: Predictors, prefix: str) -> list[Combiner]:
    """The first of an origin is ``parameters``, aligned before plain before greedy; others say which."""
    averages = [each for each in given.averages if each.origin == one.origin]
    averages.sort(key=lambda each: (each.chosen is not None, not each.matched))
    found: dict[str, Combiner] = {}
    for each in averages:
        kind = "greedy" if each.chosen is not None else "matched" if each.matched else "unmatched"
        if kind in found:
            raise EnsembleError(f"two averages of parameters of {one.origin} are alike: both are {kind}")
        name = f"{prefix}parameters/{kind}" if found else f"{prefix}parameters"
        finite = bool(np.isfinite(each.test).all())
        mean = combine(each.test, task=given.task) if finite else None
        scores = None if mean is None else score(mean, given.test_targets, task=given.task)
        found[kind] = Combiner(name, scores, _judge(given, one, each))
    return list(found.values())


def _judge(given: EvaluationInput, one: Predictors, average: ParameterAverage) -> dict[str, Any]:
    """Barrier L(w̄) − mean_m L(w_m) on validation rows, and whether the average is advised; None without.

    L(w̄) is the mean over the averaged networks: their own losses, to which combining them adds nothing.
    """
    task, y = given.task, given.valid_targets
    more: dict[str, Any] = {"barrier": None, "advised": None, "matched": average.matched}
    if average.chosen is not None:
        more["chosen"] = list(average.chosen)
    if not all(np.isfinite(values).all() for values in (average.test, average.valid) if values is not None):
        return {**more, "advised": False}
    if y is None or one.valid is None or average.valid is None or not given.valid_rows:
        return more
    loss = partial(loss_rows, task=task)
    more["barrier"] = float(
        means_of_each(loss, average.valid, y).mean() - means_of_each(loss, one.valid, y).mean()
    )
    if task == "classification":
        mean, averaged = (means_of_each(accuracy_rows, each, y).mean() for each in (one.valid, average.valid))
        more["advised"] = bool(averaged >= mean - ACCURACY_ALLOWANCE - 1e-9)
    else:
        mean, averaged = (
            np.sqrt(means_of_each(squared_error_rows, each, y)).mean() for each in (one.valid, average.valid)
        )
        more["advised"] = bool(averaged <= mean * RMSE_ALLOWANCE * (1 + 1e-9))
    return more


def undefined(given: EvaluationInput) -> Metrics:
    """The metrics of predictions that are not finite."""
    return dict.fromkeys(METRICS[given.task])
