"""Training one network in plain torch: tensors in memory, a loop over slices, and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from examples.benchmarks import networks
from examples.benchmarks.cases import Case
from examples.benchmarks.rows import CLASSES, Arrays

# The first optimizer of a process imports a large part of torch, seconds of it: that belongs to the start of whoever
# uses this loop, not to the training.
torch.optim.SGD([torch.zeros(1)])


def make(case: Case, shape: tuple[int, ...]) -> nn.Module:
    """The case's network, drawn from torch's default generator."""
    build: Callable[[tuple[int, ...], int], nn.Module] = getattr(networks, case.network)
    return build(shape, CLASSES)


def tensor(array: NDArray[Any]) -> Tensor:
    """On the array's own memory, which Ray hands out read-only; nothing here writes into it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def train(net: nn.Module, case: Case, x: Tensor, y: Tensor) -> float:
    """Train in place; returns the mean loss of the last epoch, the only number that is read back."""
    optimizer = torch.optim.SGD(net.parameters(), lr=case.lr, momentum=case.momentum)
    loss_of = nn.CrossEntropyLoss()
    net.train()
    total = torch.zeros(())
    for _ in range(case.epochs):
        total.zero_()
        for index in torch.split(torch.randperm(len(x)), case.batch_size):
            optimizer.zero_grad()
            loss = loss_of(net(x[index]), y[index])
            loss.backward()
            optimizer.step()
            total += loss.detach()
    return total.item() / -(-len(x) // case.batch_size)


@torch.inference_mode()
def probabilities(net: nn.Module, data: Arrays) -> NDArray[np.float32]:
    """``(rows, classes)`` of the test rows."""
    net.eval()
    return torch.cat([net(part).softmax(dim=1) for part in torch.split(tensor(data.x_test), 1000)]).numpy()
