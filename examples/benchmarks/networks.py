"""The networks of the cases, in plain torch, as every contender but ours calls them.

Ours builds them by the options that ``cases.py`` writes beside each; a test holds the two against one another.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn

DROPOUT = 0.1


def mlp256(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Two hidden layers of 256."""
    return _mlp(shape, outputs, hidden=(256, 256))


def mlp64(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Two hidden layers of 64."""
    return _mlp(shape, outputs, hidden=(64, 64))


def convnet(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Two stages of two 3×3 convolutions, 16 and 32 channels, and a hidden layer of 128."""
    layers: list[nn.Module] = []
    for inputs, channels in pairwise((shape[0], 16, 32)):
        for width in (inputs, channels):
            layers += [
                nn.Conv2d(width, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
        layers += [nn.MaxPool2d(2), nn.Dropout(DROPOUT)]
    units = 32 * (shape[1] // 4) * (shape[2] // 4)
    return _initialized(nn.Sequential(*layers, nn.Flatten(), *_dense(units, 128), nn.Linear(128, outputs)))


def _mlp(shape: tuple[int, ...], outputs: int, *, hidden: tuple[int, ...]) -> nn.Module:
    layers = [layer for pair in pairwise((math.prod(shape), *hidden)) for layer in _dense(*pair)]
    return _initialized(nn.Sequential(nn.Flatten(), *layers, nn.Linear(hidden[-1], outputs)))


def _dense(inputs: int, width: int) -> list[nn.Module]:
    return [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(DROPOUT)]


@torch.no_grad()
def _initialized(net: nn.Module) -> nn.Module:
    """He's weights and biases of 0, so that accuracies differ by nothing but chance."""
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                module.bias.zero_()
    return net
