"""What trained networks say about rows: predictions in evaluation mode, and the batch-norm refresh before them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ensemble.combining.predictions import combine
from ensemble.data.dataset import Dataset, DataSpec, Rows
from ensemble.members.plan import MemberPlan
from ensemble.nets.batchnorm import refresh_batch_norm
from ensemble.nets.build import build_net, check_net, parameter_count
from ensemble.streams import Purpose, RunPurpose, generator, member_sequence, run_sequence, torch_seed
from ensemble.training.events import Scored, Weights
from ensemble.training.losses import predictions
from ensemble.training.rows import DeviceRows, full_batches, to_numpy
from ensemble.training.tasks import Score

EVALUATION_BATCH = 1000


def choose_device() -> torch.device:
    """The GPU that this process was given, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make_net(plan: MemberPlan, device: torch.device) -> nn.Module:
    """The member's network as initialized, the same on every device."""
    seed = torch_seed(member_sequence(plan.seed, plan.index, Purpose.INIT))
    net = build_net(plan.net, shape=plan.shape, outputs=plan.outputs, seed=seed)
    if len(plan.shape) == 3:
        # torch's stubs leave out the overload that takes a memory format alone
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net.to(device)


def weights_of(net: nn.Module) -> Weights:
    """The ``state_dict`` as CPU arrays of their own."""
    return {name: to_numpy(value) for name, value in net.state_dict().items()}


def load_weights(net: nn.Module, weights: Weights) -> None:
    """Set every entry; keys and shapes must agree."""
    net.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})


@torch.inference_mode()
def predict(net: nn.Module, inputs: DeviceRows, rows: Rows, spec: DataSpec) -> NDArray[np.float32]:
    """``(rows, outputs)`` predictions in the target's own unit; with heads ``(rows, heads, outputs)``.

    The network predicts in the mode it is in, which is for the caller to choose: evaluation, or with dropout on.
    """
    parts = [
        predictions(net(inputs.batch(rows[start : start + EVALUATION_BATCH])).float(), spec).cpu().numpy()
        for start in range(0, len(rows), EVALUATION_BATCH)
    ]
    return np.concatenate(parts).astype(np.float32, copy=False)


def as_one(values: NDArray[np.float32], spec: DataSpec) -> NDArray[np.float32]:
    """Heads averaged (in regression mixed): ``(rows, heads, outputs)`` to ``(rows, outputs)``."""
    if values.ndim == 2:
        return values
    return combine(values.swapaxes(0, 1), task=spec.task).astype(np.float32)


def refresh_batches(plan: MemberPlan, data: Dataset, inputs: DeviceRows) -> Iterator[Tensor]:
    """Training rows for the batch-norm refresh: full batches in one fixed order that all members share.

    The order is shuffled once, since rows often lie sorted by class and a batch of one class has another variance.
    """
    order = generator(run_sequence(plan.seed, RunPurpose.REFRESH)).permutation(data.train)
    return (inputs.batch(rows) for rows in full_batches(order, plan.train.batch_size))


def score(task: Score, data: Dataset) -> Scored:
    """Load the weights, refresh batch norm if asked, and predict."""
    device = choose_device()
    net = make_net(task.plan, device)
    load_weights(net, task.weights)
    inputs = DeviceRows(data.x, data.spec, device)
    if task.refresh:
        refresh_batch_norm(net, refresh_batches(task.plan, data, inputs))
    net.eval()
    said = {
        part: as_one(predict(net, inputs, data.rows(part), data.spec), data.spec)
        for part in task.parts
        if len(data.rows(part))
    }
    return Scored(weights_of(net), said)


def try_network(plan: MemberPlan) -> int:
    """Build the member's network, see that it fits the data and the task, and count its parameters.

    Raises:
        UsageError: it does not fit; the message names the network, the shape it got and the one it needs.
    """
    net = make_net(plan, torch.device("cpu"))
    check_net(net, shape=plan.shape, outputs=plan.outputs, heads=plan.net.heads, name=plan.net.net)
    return parameter_count(net)
