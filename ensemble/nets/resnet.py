"""A small residual network of pre-activation blocks (He et al. 2016, arXiv 1603.05027)."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn

from ensemble.errors import UsageError
from ensemble.nets.blocks import BatchNorm, activation, check_image, has_bias
from ensemble.nets.dropout import Dropout
from ensemble.nets.heads import join
from ensemble.nets.permutations import Walk

HIDDEN = (16, 32, 64)


def resnet(
    shape: tuple[int, ...],
    outputs: int,
    *,
    hidden: tuple[int, ...] = HIDDEN,
    batch_norm: BatchNorm,
    dropout: float,
    heads: int = 1,
) -> nn.Module:
    """A 3×3 convolution, one residual block a stage, the mean over the image, dropout and a linear output.

    ``hidden`` holds the channels of the stages; a stage wider than the one before it halves the image, so
    ``16,16,32,32`` has four blocks and halves once. With several heads all but the last block is shared.

    Raises:
        UsageError: no stage, rows that are no images, or images that cannot be halved so often.
    """
    if not hidden:
        raise UsageError(
            "hidden is empty, but net resnet needs the channels of at least one stage; or use --net mlp"
        )
    check_image(shape, net="resnet", smallest=2 ** sum(after > before for before, after in pairwise(hidden)))
    stem = nn.Conv2d(shape[0], hidden[0], 3, padding=1, bias=has_bias(batch_norm))
    widths = (hidden[0], *hidden)
    shared = [Residual(before, after, batch_norm=batch_norm) for before, after in pairwise(widths[:-1])]

    def head() -> nn.Sequential:
        return nn.Sequential(
            OrderedDict(
                block=Residual(*widths[-2:], batch_norm=batch_norm),
                activation=nn.Sequential(
                    OrderedDict(activation(nn.BatchNorm2d, widths[-1], batch_norm=batch_norm))
                ),
                mean=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                dropout=Dropout(dropout),
                output=nn.Linear(widths[-1], outputs),
            )
        )

    return join(nn.Sequential(stem, *shared), head, heads=heads)


class Residual(nn.Module):
    """a = φ(x); conv(φ(conv(a))) + x, with φ ReLU and batch norm; x is replaced by a 1×1 convolution of a
    where the number of channels changes, and the image is halved where it grows.

    With batch norm before the nonlinearity no convolution has a bias: it would be a constant of a channel,
    which the next batch norm on the stream removes.
    """

    def __init__(self, inputs: int, width: int, *, batch_norm: BatchNorm) -> None:
        super().__init__()
        bias, stride = has_bias(batch_norm), 2 if width > inputs else 1
        self.first = nn.Sequential(OrderedDict(activation(nn.BatchNorm2d, inputs, batch_norm=batch_norm)))
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=bias)
        self.second = nn.Sequential(OrderedDict(activation(nn.BatchNorm2d, width, batch_norm=batch_norm)))
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.shortcut = nn.Conv2d(inputs, width, 1, bias=bias) if width != inputs else None
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        activated = self.first(x)
        residual: Tensor = self.conv2(self.second(self.conv1(activated)))
        if self.shortcut is None:
            return residual + x
        # Not the convolution's own stride: with it, oneDNN writes past its memory where fewer than 16 channels come in
        # channels-last (uxlfoundation/oneDNN#6035), and the process dies, if it is lucky.
        shortcut: Tensor = self.shortcut(activated[:, :, :: self.stride, :: self.stride])
        return residual + shortcut

    def thread(self, walk: Walk, name: str, units: str | None) -> str | None:
        """All that is added to one stream shares the stream's permutation."""
        walk.through(f"{name}.first", self.first, units)
        inside = walk.through(f"{name}.conv1", self.conv1, units)
        inside = walk.through(f"{name}.second", self.second, inside)
        if self.shortcut is None:
            return walk.weight(f"{name}.conv2", self.conv2, inside, out=units)
        stream = walk.weight(f"{name}.conv2", self.conv2, inside)
        return walk.weight(f"{name}.shortcut", self.shortcut, units, out=stream)
