"""MODULE:FUNCTION networks, good and bad, as a user would hand them in."""

from __future__ import annotations

import torch
from torch import nn

Shape = tuple[int, ...]


def good(shape: Shape, outputs: int) -> nn.Module:
    shared = nn.Dropout(0.25)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(torch.Size(shape).numel(), 8), shared, nn.Sequential(nn.ReLU(), shared),
        nn.Dropout1d(0.5), nn.Linear(8, outputs),
    )  # fmt: skip


def bare_dropout(shape: Shape, outputs: int) -> nn.Module:
    return nn.Dropout(0.5)


def raises(shape: Shape, outputs: int) -> nn.Module:
    raise KeyError("no such architecture")


def not_a_module(shape: Shape, outputs: int) -> str:
    return "resnet50"


def lazy(shape: Shape, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(outputs))


class Functional(nn.Module):
    """Drops by a function: nobody can switch that from outside."""

    def __init__(self, shape: Shape, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(torch.Size(shape).numel(), outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(1)
        return self.linear(nn.functional.dropout(flat, 0.5, training=self.training))


def functional(shape: Shape, outputs: int) -> nn.Module:
    return Functional(shape, outputs)


class Viewing(nn.Module):
    """Flattens by ``view``, which wants rows that lie in memory as they are indexed."""

    def __init__(self, shape: Shape, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(shape[0], 4, 3, padding=1)
        self.last = nn.Linear(4 * shape[1] * shape[2], outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x.view(x.shape))
        return self.last(torch.relu(y).view(x.shape[0], -1))


def viewing(shape: Shape, outputs: int) -> nn.Module:
    return Viewing(shape, outputs)
