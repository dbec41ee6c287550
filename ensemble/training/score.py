"""What trained networks say about rows: predictions in evaluation mode, and the batch-norm refresh before them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ensemble.combining.predictions import combine
from ensemble.data.dataset import Dataset, DataSpec, Rows
from ensemble.members.plan import MemberPlan
from ensemble.nets.batchnorm import refresh_batch_norm
from ensemble.streams import RunPurpose, generator, run_sequence
from ensemble.training.events import Scored, Weights
from ensemble.training.losses import predictions
from ensemble.training.networks import channels_last, choose_device, load_weights, make_net, weights_of
from ensemble.training.rows import DeviceRows, full_batches

EVALUATION_BATCH = 1000


@torch.inference_mode()
def predict(net: Callable[[Tensor], Tensor], inputs: DeviceRows, rows: Rows, spec: DataSpec) -> NDArray[Any]:
    """``(rows, outputs)`` predictions in the target's own unit; with heads ``(rows, heads, outputs)``.

    The network predicts in the mode it is in, which is for the caller to choose: evaluation, or with dropout on.
    """
    parts = [
        predictions(net(inputs.batch(rows[start : start + EVALUATION_BATCH])).float(), spec).cpu().numpy()
        for start in range(0, len(rows), EVALUATION_BATCH)
    ]
    return np.concatenate(parts)


def as_one(values: NDArray[Any], spec: DataSpec) -> NDArray[Any]:
    """Heads averaged (in regression mixed): ``(rows, heads, outputs)`` to ``(rows, outputs)``."""
    if values.ndim == 2:
        return values
    return combine(values.swapaxes(0, 1), task=spec.task).astype(values.dtype)


def refresh_batches(plan: MemberPlan, data: Dataset, inputs: DeviceRows) -> Iterator[Tensor]:
    """Training rows for the batch-norm refresh: full batches in one fixed order that all members share.

    The order is shuffled once, since rows often lie sorted by class and a batch of one class has another variance.
    """
    order = generator(run_sequence(plan.seed, RunPurpose.REFRESH)).permutation(data.train)
    return (inputs.batch(rows) for rows in full_batches(order, plan.train.batch_size))


def score(
    plan: MemberPlan, weights: Weights, data: Dataset, *, parts: tuple[str, ...], refresh: bool
) -> Scored:
    """Load the weights, refresh batch norm if asked, and predict those parts of the rows that there are."""
    device = choose_device()
    net = make_net(plan, device)
    load_weights(net, weights)
    inputs = DeviceRows(data.x, data.spec, device, channels_last=channels_last(plan))
    if refresh:
        refresh_batch_norm(net, refresh_batches(plan, data, inputs))
    net.eval()
    said = {
        part: as_one(predict(net, inputs, data.rows(part), data.spec), data.spec)
        for part in parts
        if len(data.rows(part))
    }
    return Scored(weights_of(net), said)
