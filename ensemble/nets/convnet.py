"""The convolutional network that ``auto`` takes for images: small enough for a processor's single core."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import nn

from ensemble.errors import UsageError
from ensemble.nets.blocks import BatchNorm, check_image, convolution, dense
from ensemble.nets.dropout import Dropout
from ensemble.nets.heads import join

HIDDEN = (16, 32)
UNITS = 128
"""Width of the fully connected layer."""


def convnet(
    shape: tuple[int, ...],
    outputs: int,
    *,
    hidden: tuple[int, ...] = HIDDEN,
    batch_norm: BatchNorm,
    dropout: float,
    heads: int = 1,
) -> nn.Module:
    """Stages of two 3×3 convolutions, max-pooling and dropout, then a hidden layer and a linear output.

    ``hidden`` holds the channels of the stages. With several heads the stages are shared.

    Raises:
        UsageError: no stage, rows that are no images, or images with nothing left after the poolings.
    """
    if not hidden:
        raise UsageError(
            "hidden is empty, but net convnet needs the channels of at least one stage; or use --net mlp"
        )
    check_image(shape, net="convnet", smallest=2 ** len(hidden))
    widths = (shape[0], *hidden)
    height, width = (side // 2 ** len(hidden) for side in shape[1:])

    def stage(inputs: int, channels: int) -> nn.Sequential:
        return nn.Sequential(
            convolution(inputs, channels, kernel=3, batch_norm=batch_norm),
            convolution(channels, channels, kernel=3, batch_norm=batch_norm),
            nn.MaxPool2d(2),
            Dropout(dropout),
        )

    def head() -> nn.Sequential:
        return nn.Sequential(
            OrderedDict(
                hidden=dense(widths[-1] * height * width, UNITS, batch_norm=batch_norm, dropout=dropout),
                output=nn.Linear(UNITS, outputs),
            )
        )

    stages = [stage(inputs, channels) for inputs, channels in pairwise(widths)]
    return join(nn.Sequential(*stages, nn.Flatten()), head, heads=heads)
