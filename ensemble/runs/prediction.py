"""A finished run as something that predicts: its networks, resident, and the ways of combining them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from torch import nn

from ensemble.combining.predictions import Array, combine, vote
from ensemble.combining.selection import greedy
from ensemble.data.dataset import DataSpec
from ensemble.errors import RunError, UsageError
from ensemble.evaluation.uncertainty import Uncertainty, classification_uncertainty, regression_uncertainty
from ensemble.members.plan import MemberPlan, plan_members
from ensemble.reports.prediction_files import ClassPredictions, Predictions, ValuePredictions
from ensemble.runs.reporting import finished_members, selection_rows
from ensemble.runs.store import RunStore
from ensemble.training.rows import DeviceRows
from ensemble.training.score import as_one, choose_device, load_weights, make_net, predict

CHUNK = 10_000
"""Rows predicted at a time: what is in memory does not grow with the rows."""

Z95 = float(norm.ppf(0.975))


@dataclass(frozen=True)
class Networks:
    """The networks that one way of combining needs, on their device."""

    spec: DataSpec
    nets: tuple[nn.Module, ...]
    weights: tuple[float, ...] | None
    """Of each network where the combiner weighs them."""
    by_vote: bool

    @property
    def described(self) -> str:
        """In words: how many networks, and how they are combined."""
        count = "1 network" if len(self.nets) == 1 else f"{len(self.nets)} networks"
        return f"{count}, by vote" if self.by_vote else count

    def predict(self, x: Array, *, first_row: int = 0) -> Iterator[Predictions]:
        """Combined predictions with uncertainty, ``CHUNK`` rows at a time.

        Args:
            x: ``(rows, *spec.shape)`` as ``Dataset.x`` has them.
            first_row: Number of the first row.
        """
        inputs = DeviceRows(x, self.spec, choose_device())
        for start in range(0, len(x), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(x)))
            values = np.stack([as_one(predict(net, inputs, rows, self.spec), self.spec) for net in self.nets])
            yield self._combined(values, rows + first_row)

    def _combined(self, values: Array, rows: Array) -> Predictions:
        mean = combine(values, task=self.spec.task, weights=self.weights)
        weighed = (
            values
            if self.weights is None
            else values[np.repeat(range(len(values)), np.array(self.weights, int))]
        )
        if self.spec.task == "regression":
            return _value_predictions(mean, regression_uncertainty(weighed), rows)
        labels = mean.argmax(axis=1)
        if self.by_vote:
            votes = vote(values)
            labels, mean = votes.labels, votes.shares
        return _class_predictions(labels, mean, classification_uncertainty(weighed), rows, self.spec.classes)


def load_networks(store: RunStore, combiner: str, *, force: bool = False) -> Networks:
    """Networks of a run for a combiner: all members, the selected ones, or the one with averaged parameters.

    Raises:
        UsageError: ``parameters`` where the report advises against it and ``force`` is not given.
        RunError: no finished member, or a damaged file.
    """
    records = finished_members(store)
    if not records:
        raise RunError(f"run {str(store.root)!r} has no finished member yet; train it first")
    plans = plan_members(store.record.config, store.spec)
    if combiner == "vote" and store.spec.task == "regression":
        raise UsageError("combine vote has no meaning for regression; use average, parameters or greedy")
    if combiner == "parameters":
        return Networks(store.spec, (_averaged_net(store, plans[0], force=force),), None, by_vote=False)
    weights: tuple[float, ...] | None = None
    if combiner == "greedy":
        values, targets = selection_rows(store, records)
        chosen = greedy(values, targets, task=store.spec.task).weights
        records = [record for record, weight in zip(records, chosen, strict=True) if weight]
        weights = tuple(float(weight) for weight in chosen if weight)
    nets = []
    for record in records:
        net = make_net(plans[record.index], choose_device())
        load_weights(net, store.weights(record))
        nets.append(net.eval())
    return Networks(store.spec, tuple(nets), weights, by_vote=combiner == "vote")


def _averaged_net(store: RunStore, plan: MemberPlan, *, force: bool) -> nn.Module:
    record = store.average()
    if record is None:
        raise RunError(f"run {str(store.root)!r} holds no parameter average; finish the run first")
    said = store.report()["combined"]["parameters"]
    if said["advised"] is not True and not force:
        reason = (
            "without validation rows nobody measured whether it is sound"
            if said["advised"] is None
            else f"its loss on validation rows is {said['barrier']:+.3f} above the members'"
        )
        raise UsageError(
            f"averaging the parameters of these members is not advised: {reason}. "
            "Use --combine average, or --force to predict with it all the same"
        )
    net = make_net(plan, choose_device())
    load_weights(net, store.average_weights(record))
    return net.eval()


def _class_predictions(
    labels: Array, p: Array, uncertainty: Uncertainty, rows: Array, classes: tuple[str, ...]
) -> ClassPredictions:
    return ClassPredictions(
        row=rows,
        classes=classes,
        predicted=labels,
        probabilities=p,
        confidence=p[np.arange(len(p)), labels],
        total=uncertainty.total,
        aleatoric=uncertainty.aleatoric,
        epistemic=uncertainty.epistemic,
    )


def _value_predictions(mixture: Array, uncertainty: Uncertainty, rows: Array) -> ValuePredictions:
    mean = mixture[:, 0]
    if mixture.shape[1] == 1:
        return ValuePredictions(rows, mean, None, None, None, None, uncertainty.epistemic)
    std = np.sqrt(mixture[:, 1])
    return ValuePredictions(
        rows, mean, std, mean - Z95 * std, mean + Z95 * std, uncertainty.aleatoric, uncertainty.epistemic
    )
