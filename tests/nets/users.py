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
