"""A finished run as something that predicts: its networks, resident, and the ways of combining them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ensemble.data.dataset import Array, DataSpec
from ensemble.errors import RunError, UsageError
from ensemble.evaluation.metrics import NORMAL_95
from ensemble.members.plan import MemberPlan
from ensemble.nets.cores import side_by_side
from ensemble.nets.dropout import dropout_active
from ensemble.nets.folding import FoldedStack, fold
from ensemble.nets.tally import ClassTally, ValueTally
from ensemble.reports.prediction_files import ClassPredictions, Predictions, ValuePredictions
from ensemble.runs.reporting import finished_members, selected
from ensemble.runs.store import RunStore
from ensemble.streams import Purpose, member_sequence, torch_seed
from ensemble.training.events import Weights
from ensemble.training.losses import predictions
from ensemble.training.networks import (
    channels_last,
    check_dropout,
    choose_device,
    cuda_devices,
    load_weights,
    make_net,
)
from ensemble.training.rows import DeviceRows, to_numpy
from ensemble.training.score import EVALUATION_BATCH, as_one

CHUNK = 10_000
"""Rows predicted at a time: what is in memory does not grow with the rows."""

LARGEST_FOLDED = 16_384
"""Weights of a network: above it, networks are passed one after the other. A rule of the network alone, so that what is
said of a row does not depend on how many rows are asked about. Fitted by ``python -m examples.benchmarks --cases
predict``."""

FEWEST = 10_000_000
"""Products that are worth a thread of their own, which takes about as long to begin."""


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
        folded: All networks as few, where they are so small that a pass of each by itself is mostly overhead.
    """

    spec: DataSpec
    nets: tuple[nn.Module, ...]
    members: tuple[int, ...]
    counts: tuple[int, ...]
    by_vote: bool
    seed: int
    dropout_samples: int
    channels_last: bool
    folded: tuple[FoldedStack, ...] = ()

    @property
    def described(self) -> str:
        """In words: how many networks, and how they are combined."""
        count = "1 network" if len(self.nets) == 1 else f"{len(self.nets)} networks"
        passes = f", {self.dropout_samples} dropout passes each" if self.dropout_samples else ""
        return f"{count}{passes}{', by vote' if self.by_vote else ''}"

    def predict(self, x: Array, *, first_row: int = 0) -> Iterator[Predictions]:
        """Combined predictions with uncertainty, ``CHUNK`` rows at a time.

        What is said of a row does not depend on the rows it is asked about with, but for rounding, and where dropout
        draws masks: these follow from the number of the first row of the chunk.

        Args:
            x: ``(rows, *spec.shape)`` as ``Dataset.x`` has them.
            first_row: Number of the first row.
        """
        device = choose_device()
        for start in range(0, len(x), CHUNK):
            chunk = x[start : start + CHUNK]
            inputs = DeviceRows(chunk, self.spec, device, channels_last=self.channels_last)
            rows = np.arange(first_row + start, first_row + start + len(chunk))
            with torch.inference_mode():
                combined = self._combined(inputs, rows, device)
            yield combined

    def _combined(self, inputs: DeviceRows, rows: Array, device: torch.device) -> Predictions:
        if self.spec.task == "regression":
            values = ValueTally(len(rows), device=device)
            self._add_all(values, inputs, rows, device)
            return _value_predictions(values, rows)
        classes = ClassTally(len(rows), len(self.spec.classes), device=device, by_vote=self.by_vote)
        self._add_all(classes, inputs, rows, device)
        return _class_predictions(classes, rows, self.spec.classes, by_vote=self.by_vote)

    def _add_all(
        self, tally: ClassTally | ValueTally, inputs: DeviceRows, rows: Array, device: torch.device
    ) -> None:
        """Add what every predictor says of every row."""
        counts = torch.tensor(self.counts, dtype=torch.float64, device=device)
        if self.folded and not self.dropout_samples:
            shares = torch.split(counts, [stack.members for stack in self.folded])

            def add(part: slice) -> None:
                with torch.inference_mode():  # which each thread is in by itself
                    x = inputs.batch(np.arange(part.start, part.stop))
                    for stack, weights in zip(self.folded, shares, strict=True):
                        tally.add(_saying(stack(x), self.spec), weights, rows=part)

            a_row = sum(stack.members * stack.weights for stack in self.folded)
            share = max(len(rows) / torch.get_num_threads(), FEWEST / a_row)
            size = min(math.ceil(share), *(stack.rows for stack in self.folded))
            side_by_side(add, _parts(len(rows), size), device)
            return
        for index in range(len(self.nets)):
            for sample in range(max(1, self.dropout_samples)):
                outputs = self._pass(index, sample, inputs, rows)
                said = (_heads_as_one if outputs.ndim == 3 else _saying)(outputs, self.spec)
                tally.add(said[None], counts[index, None], rows=slice(0, len(rows)))

    def _pass(self, index: int, sample: int, inputs: DeviceRows, rows: Array) -> Tensor:
        """The outputs of one network, with dropout masks of its own where such passes are asked for."""
        net, parts = self.nets[index], _parts(len(rows), EVALUATION_BATCH)
        batches = (inputs.batch(np.arange(part.start, part.stop)) for part in parts)
        if not self.dropout_samples:
            return torch.cat([net(batch).float() for batch in batches])
        first = int(rows[0])
        stream = member_sequence(self.seed, self.members[index], Purpose.DROPOUT_SAMPLES, sample, first)
        with torch.random.fork_rng(cuda_devices(net)), dropout_active(net, True):
            torch.manual_seed(torch_seed(stream))
            return torch.cat([net(batch).float() for batch in batches])


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


def _folded(nets: Sequence[nn.Module]) -> tuple[FoldedStack, ...]:
    weights = sum(parameter.numel() for parameter in nets[0].parameters() if parameter.ndim > 1)
    return fold(nets) if len(nets) > 1 and weights <= LARGEST_FOLDED else ()


def _parts(rows: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _saying(outputs: Tensor, spec: DataSpec) -> Tensor:
    """Of one head or none: logits of classes, or values in the target's own unit."""
    return outputs if spec.task == "classification" else predictions(outputs, spec)


def _heads_as_one(outputs: Tensor, spec: DataSpec) -> Tensor:
    """``(rows, heads, outputs)`` as what one would say for all: the logarithm of their mean probability."""
    one = torch.from_numpy(as_one(predictions(outputs, spec).cpu().numpy(), spec)).to(outputs.device)
    return one.log() if spec.task == "classification" else one


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
    tally: ClassTally, rows: Array, classes: tuple[str, ...], *, by_vote: bool
) -> ClassPredictions:
    p = to_numpy(tally.shares if by_vote else tally.mean)
    labels = to_numpy(tally.elected) if by_vote else p.argmax(axis=1)
    total, aleatoric = to_numpy(tally.total), to_numpy(tally.aleatoric)
    return ClassPredictions(
        row=rows,
        classes=classes,
        predicted=labels,
        probabilities=p,
        confidence=p[np.arange(len(p)), labels],
        total=total,
        aleatoric=aleatoric,
        # Never negative but for rounding.
        epistemic=np.maximum(total - aleatoric, 0),
    )


def _value_predictions(tally: ValueTally, rows: Array) -> ValuePredictions:
    mean, epistemic = to_numpy(tally.mean), to_numpy(tally.epistemic)
    if tally.aleatoric is None:
        return ValuePredictions(rows, mean, None, None, None, None, epistemic)
    aleatoric = to_numpy(tally.aleatoric)
    std = np.sqrt(aleatoric + epistemic)
    return ValuePredictions(
        rows, mean, std, mean - NORMAL_95 * std, mean + NORMAL_95 * std, aleatoric, epistemic
    )
