"""What a trained network leaves behind: predictors with their origin, and what each says on the rows of the run."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from ensemble.data.dataset import Dataset, Rows
from ensemble.members.plan import MemberPlan
from ensemble.members.resampling import unseen_rows
from ensemble.nets.dropout import dropout_active
from ensemble.streams import Purpose, member_sequence, torch_seed
from ensemble.training.events import Origin, Predictor, Said
from ensemble.training.networks import cuda_devices, weights_of
from ensemble.training.rows import DeviceRows
from ensemble.training.score import as_one, predict


def predictor(
    plan: MemberPlan, data: Dataset, net: nn.Module, inputs: DeviceRows, *, origin: Origin, index: int
) -> Predictor:
    """The network as it is now, with its weights; heads are averaged."""
    net.eval()
    values = _predict_parts(plan, data, net, inputs)
    return Predictor(plan.index, origin, index, weights_of(net), _as_one(values, data))


def final_predictors(
    plan: MemberPlan, data: Dataset, net: nn.Module, inputs: DeviceRows
) -> Iterator[Predictor]:
    """The finished member, each of its heads, and each set of dropout masks."""
    net.eval()
    values = _predict_parts(plan, data, net, inputs)
    yield Predictor(plan.index, "members", 0, weights_of(net), _as_one(values, data))
    if plan.net.heads > 1:
        for head in range(plan.net.heads):
            yield Predictor(plan.index, "heads", head, None, {k: v[:, head] for k, v in values.items()})
    for sample in range(plan.dropout_samples):
        yield Predictor(plan.index, "dropout", sample, None, _dropout_sample(plan, data, net, inputs, sample))


def _as_one(values: Said, data: Dataset) -> Said:
    return {part: as_one(said, data.spec) for part, said in values.items()}


def _dropout_sample(plan: MemberPlan, data: Dataset, net: nn.Module, inputs: DeviceRows, sample: int) -> Said:
    """One stochastic pass: dropout on, batch norm in evaluation mode   (arXiv 1506.02142)."""
    with torch.random.fork_rng(cuda_devices(net)):
        torch.manual_seed(torch_seed(member_sequence(plan.seed, plan.index, Purpose.DROPOUT_SAMPLES, sample)))
        with dropout_active(net, True):
            values = _predict_parts(plan, data, net, inputs)
    return _as_one(values, data)


def _predict_parts(plan: MemberPlan, data: Dataset, net: nn.Module, inputs: DeviceRows) -> Said:
    parts: dict[str, Rows | None] = {
        "valid": data.valid,
        "test": data.test,
        "oob": unseen_rows(plan, data.train) if plan.resample == "bootstrap" else None,
    }
    return {
        part: predict(net, inputs, rows, data.spec)
        for part, rows in parts.items()
        if rows is not None and len(rows)
    }
