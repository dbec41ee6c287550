"""LeNet as the known figures on Fashion-MNIST have it (uncertainty-baselines, baselines/mnist)."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from ensemble.errors import UsageError
from ensemble.nets.blocks import BatchNorm, check_image, convolution, dense
from ensemble.nets.heads import join

HIDDEN = (6, 16, 120, 84)


def lenet(
    shape: tuple[int, ...],
    outputs: int,
    *,
    hidden: tuple[int, ...] = HIDDEN,
    batch_norm: BatchNorm,
    dropout: float,
    heads: int = 1,
) -> nn.Module:
    """Three 5×5 convolutions, max-pooling after the first two, a hidden layer and a linear output.

    ``hidden`` holds three numbers of channels and a width. With several heads the convolutions are shared.

    Raises:
        UsageError: rows that are no images of at least 4×4, or not four numbers in ``hidden``.
    """
    if len(hidden) != len(HIDDEN):
        raise UsageError(
            f"hidden is {','.join(map(str, hidden))!r}, but net lenet takes four numbers, three of channels "
            f"and a width; the default is {','.join(map(str, HIDDEN))}"
        )
    check_image(shape, net="lenet", smallest=4)
    channels, height, width = shape
    first, second, third, units = hidden

    def conv(inputs: int, outputs: int) -> nn.Sequential:
        return convolution(inputs, outputs, kernel=5, batch_norm=batch_norm)

    def head() -> nn.Sequential:
        return nn.Sequential(
            OrderedDict(
                hidden=dense(
                    third * (height // 4) * (width // 4), units, batch_norm=batch_norm, dropout=dropout
                ),
                output=nn.Linear(units, outputs),
            )
        )

    trunk = nn.Sequential(
        conv(channels, first),
        nn.MaxPool2d(2),
        conv(first, second),
        nn.MaxPool2d(2),
        conv(second, third),
        nn.Flatten(),
    )
    return join(trunk, head, heads=heads)
