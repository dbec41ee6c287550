"""A finished run as something that predicts: its networks, resident, and the ways of combining them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import norm
from torch import nn

from ensemble.combining.predictions import Array, combine, vote
from ensemble.data.dataset import DataSpec
from ensemble.errors import RunError, UsageError
from ensemble.evaluation.uncertainty import Uncertainty, classification_uncertainty, regression_uncertainty
from ensemble.members.plan import MemberPlan
from ensemble.nets.dropout import dropout_active
from ensemble.nets.folding import FoldedStack, fold
from ensemble.reports.prediction_files import ClassPredictions, Predictions, ValuePredictions
from ensemble.runs.reporting import finished_members, selected
from ensemble.runs.store import RunStore
from ensemble.streams import Purpose, member_sequence, torch_seed
from ensemble.training.events import Weights
from ensemble.training.networks import (
    channels_last,
    check_dropout,
    choose_device,
    cuda_devices,
    load_weights,
    make_net,
)
from ensemble.training.rows import DeviceRows
from ensemble.training.score import as_one, predict

CHUNK = 10_000
"""Rows predicted at a time: what is in memory does not grow with the rows."""

LARGEST_FOLDED = 16_384
"""Weights of a network: above it, networks are passed one after the other. A rule of the network alone, so that what is
said of a row does not depend on how many rows are asked about. Fitted by ``python -m examples.benchmarks --cases
predict``."""

Z95 = float(norm.ppf(0.975))


@dataclass(frozen=True)
class Networks:
    """The networks that one way of combining needs, on their device.

    Attributes:
        spec: Of the run's data.
        nets: In evaluation mode.
        members: Whose they are; their dropout masks follow from it.
        counts: How often each counts; more than once where a greedy selection took it more than once.
        by_vote: Whether the majority decides.
        seed: Of the run.
        dropout_samples: Passes of each network with dropout on, each a predictor of its own; 0 is one pass without.
        channels_last: How the rows lie in memory, as when the networks were trained.
        folded: All networks as one, where they are so small that a pass of each by itself is mostly overhead.
    """

    spec: DataSpec
    nets: tuple[nn.Module, ...]
    members: tuple[int, ...]
    counts: tuple[int, ...]
    by_vote: bool
    seed: int
    dropout_samples: int
    channels_last: bool
    folded: FoldedStack | None = None

    @property
    def described(self) -> str:
        """In words: how many networks, and how they are combined."""
        count = "1 network" if len(self.nets) == 1 else f"{len(self.nets)} networks"
        passes = f", {self.dropout_samples} dropout passes each" if self.dropout_samples else ""
        return f"{count}{passes}{', by vote' if self.by_vote else ''}"

    def predict(self, x: Array, *, first_row: int = 0) -> Iterator[Predictions]:
        """Combined predictions with uncertainty, ``CHUNK`` rows at a time.

        Args:
            x: ``(rows, *spec.shape)`` as ``Dataset.x`` has them.
            first_row: Number of the first row.
        """
        for start in range(0, len(x), CHUNK):
            chunk = x[start : start + CHUNK]
            inputs = DeviceRows(chunk, self.spec, choose_device(), channels_last=self.channels_last)
            rows = np.arange(start, min(start + CHUNK, len(x)))
            said = self._say_all(inputs, rows)
            values = np.concatenate([said[index] for index in np.repeat(range(len(said)), self.counts)])
            yield self._combined(values, rows + first_row)

    def _say_all(self, inputs: DeviceRows, rows: Array) -> Sequence[Array]:
        """``(passes, rows, outputs)`` of each network."""
        if self.folded is None or self.dropout_samples:
            return [self._say(index, inputs, rows) for index in range(len(self.nets))]
        values: Array = predict(self.folded, inputs, rows - rows[0], self.spec, axis=1)
        return list(values[:, None])

    def _say(self, index: int, inputs: DeviceRows, rows: Array) -> Array:
        """``(passes, rows, outputs)`` of one network."""
        net = self.nets[index]
        if not self.dropout_samples:
            return as_one(predict(net, inputs, rows - rows[0], self.spec), self.spec)[None]
        passes = []
        for sample in range(self.dropout_samples):
            stream = member_sequence(
                self.seed, self.members[index], Purpose.DROPOUT_SAMPLES, sample, int(rows[0])
            )
            with torch.random.fork_rng(cuda_devices(net)), dropout_active(net, True):
                torch.manual_seed(torch_seed(stream))
                passes.append(as_one(predict(net, inputs, rows - rows[0], self.spec), self.spec))
        return np.stack(passes)

    def _combined(self, values: Array, rows: Array) -> Predictions:
        mean = combine(values, task=self.spec.task)
        if self.spec.task == "regression":
            return _value_predictions(mean, regression_uncertainty(values), rows)
        labels = mean.argmax(axis=1)
        if self.by_vote:
            votes = vote(values)
            labels, mean = votes.labels, votes.shares
        return _class_predictions(labels, mean, classification_uncertainty(values), rows, self.spec.classes)


def load_networks(
    store: RunStore, combiner: str, *, force: bool = False, dropout_samples: int | None = None
) -> Networks:
    """Networks of a run for a combiner: all members, the selected ones, or the one with averaged parameters.

    Args:
        store: The run.
        combiner: ``average``, ``vote``, ``greedy`` or ``parameters``.
        force: Take averaged parameters even where the report advises against them.
        dropout_samples: Passes with dropout on; None takes as many as the run was told.

    Raises:
        UsageError: ``parameters`` where the report advises against it and ``force`` is not given; a combiner that
            does not fit the task; dropout passes of networks without dropout.
        RunError: no finished member, or a damaged file.
    """
    records = finished_members(store)
    if not records:
        raise RunError(f"run {str(store.root)!r} has no finished member yet; train it first")
    samples = store.record.config.ensemble.dropout_samples if dropout_samples is None else dropout_samples
    plans = [plan.model_copy(update={"dropout_samples": samples}) for plan in store.plans]
    if combiner == "vote" and store.spec.task == "regression":
        raise UsageError("combine vote has no meaning for regression; use average, parameters or greedy")
    counts = (1,) * len(records)
    if combiner == "parameters":
        nets, counts = [_averaged_net(store, plans[0], force=force)], (1,)
    else:
        if combiner == "greedy":
            chosen = selected(store, records).weights
            records = [record for record, count in zip(records, chosen, strict=True) if count]
            counts = tuple(int(count) for count in chosen if count)
        nets = [_net(plans[record.index], store.weights(record)) for record in records]
    return Networks(
        spec=store.spec,
        nets=tuple(nets),
        members=tuple(record.index for record in records)[: len(nets)],
        counts=counts,
        by_vote=combiner == "vote",
        seed=store.record.config.ensemble.seed,
        dropout_samples=samples,
        channels_last=channels_last(plans[0]),
        folded=_folded(nets),
    )


def _folded(nets: Sequence[nn.Module]) -> FoldedStack | None:
    weights = sum(parameter.numel() for parameter in nets[0].parameters() if parameter.ndim > 1)
    return fold(nets) if len(nets) > 1 and weights <= LARGEST_FOLDED else None


def _net(plan: MemberPlan, weights: Weights) -> nn.Module:
    net = make_net(plan, choose_device())
    load_weights(net, weights)
    if plan.dropout_samples:
        check_dropout(net, plan)
    return net.eval()


def _averaged_net(store: RunStore, plan: MemberPlan, *, force: bool) -> nn.Module:
    record = store.averages.get("averaged")
    if record is None:
        raise RunError(f"run {str(store.root)!r} holds no parameter average; finish the run first")
    said = store.report()["combined"]["parameters"]
    if said["advised"] is not True and not force:
        reason = (
            "without validation rows nobody measured whether it is sound"
            if said["advised"] is None
            else "on validation rows it is more than "
            + ("one point of accuracy" if store.spec.task == "classification" else "5 % of RMSE")
            + " worse than the mean member"
        )
        raise UsageError(
            f"averaging the parameters of these members is not advised: {reason}. "
            "Use --combine average, or --force to predict with it all the same"
        )
    return _net(plan, store.averages.weights(record))


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
