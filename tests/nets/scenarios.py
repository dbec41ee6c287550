"""Networks small enough to be built by the hundred, each kind with each place of batch norm."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from torch import nn

from ensemble.config import NetConfig
from ensemble.nets.build import build_net

IMAGES = {"lenet": (4, 6, 12, 10), "convnet": (6, 8), "resnet": (6, 6, 8)}
"""Nets for images, with small numbers of channels; resnet has an identity and a projected shortcut."""
SMALL = {"mlp": (12, 10), **IMAGES}
BATCH_NORMS = ("none", "before", "after")
KINDS = list(itertools.product(SMALL, BATCH_NORMS))
SHAPE = (1, 12, 12)
OUTPUTS = 5


def small(
    net: str, batch_norm: str = "before", *, seed: int = 0, shape: tuple[int, ...] = SHAPE, **options: Any
) -> nn.Module:
    """A small network of one kind."""
    config = NetConfig(
        **{"net": net, "hidden": SMALL[net], "batch_norm": batch_norm, "dropout": 0.0, **options}
    )
    return build_net(config, shape=shape, outputs=OUTPUTS, seed=seed)


def rows(count: int = 6, *, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def unsettled(net: nn.Module, *, seed: int = 0) -> nn.Module:
    """The network with batch norm away from its start, so that a mistake in its entries shows."""
    random = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for value in (module.weight, module.bias, module.running_mean, module.running_var):
                value.data = torch.rand(value.shape, generator=random) + 0.5
    return net


def weights_of(net: nn.Module) -> dict[str, np.ndarray]:
    return {key: value.detach().numpy().copy() for key, value in net.state_dict().items()}


def with_weights(net: nn.Module, weights: dict[str, np.ndarray]) -> nn.Module:
    net.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in weights.items()})
    return net
