"""A multilayer perceptron: hidden layers of ReLU units on the flattened row."""

from __future__ import annotations

import math
from collections import OrderedDict
from itertools import pairwise

from torch import nn

from ensemble.nets.blocks import BatchNorm, dense
from ensemble.nets.heads import join

HIDDEN = (256, 256)


def mlp(
    shape: tuple[int, ...],
    outputs: int,
    *,
    hidden: tuple[int, ...] = HIDDEN,
    batch_norm: BatchNorm,
    dropout: float,
    heads: int = 1,
) -> nn.Module:
    """Hidden layers of the widths ``hidden``, each followed by dropout, then a linear output.

    With several heads the last hidden layer and the output are each head's own; with a single hidden layer
    (or none) only the output is, for else nothing would be shared.
    """
    widths = (math.prod(shape), *hidden)
    shared = max(len(hidden) - 1, min(len(hidden), 1))

    def layers(widths: tuple[int, ...]) -> list[nn.Sequential]:
        return [dense(*pair, batch_norm=batch_norm, dropout=dropout) for pair in pairwise(widths)]

    def head() -> nn.Sequential:
        own = nn.Sequential(*layers(widths[shared:]))
        return nn.Sequential(OrderedDict(hidden=own, output=nn.Linear(widths[-1], outputs)))

    return join(nn.Sequential(nn.Flatten(), *layers(widths[: shared + 1])), head, heads=heads)
