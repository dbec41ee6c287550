"""A layer with its nonlinearity and batch norm: what the networks are made of."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from torch import nn

from ensemble.errors import UsageError
from ensemble.nets.dropout import Dropout

BatchNorm = Literal["none", "before", "after"]
"""Where batch norm stands to the nonlinearity; before it in Ioffe & Szegedy 2015 (arXiv 1502.03167)."""


def dense(inputs: int, width: int, *, batch_norm: BatchNorm, dropout: float) -> nn.Sequential:
    """Fully connected, ReLU, batch norm where it belongs, dropout."""
    linear = nn.Linear(inputs, width, bias=has_bias(batch_norm))
    layers = activation(nn.BatchNorm1d, width, batch_norm=batch_norm)
    return nn.Sequential(OrderedDict(linear=linear, **layers, dropout=Dropout(dropout)))


def convolution(inputs: int, width: int, *, kernel: int, batch_norm: BatchNorm) -> nn.Sequential:
    """Convolution that keeps the image's size (``kernel`` is odd), ReLU, batch norm where it belongs."""
    conv = nn.Conv2d(inputs, width, kernel, padding=kernel // 2, bias=has_bias(batch_norm))
    return nn.Sequential(OrderedDict(conv=conv, **activation(nn.BatchNorm2d, width, batch_norm=batch_norm)))


def activation(
    norm: type[nn.BatchNorm1d] | type[nn.BatchNorm2d], width: int, *, batch_norm: BatchNorm
) -> dict[str, nn.Module]:
    """ReLU and batch norm by name, in their order."""
    if batch_norm == "before":
        return {"norm": norm(width), "relu": nn.ReLU()}
    if batch_norm == "after":
        return {"relu": nn.ReLU(), "norm": norm(width)}
    return {"relu": nn.ReLU()}


def has_bias(batch_norm: BatchNorm) -> bool:
    """A bias that batch norm follows is subtracted again with the mean, so such a layer has none."""
    return batch_norm != "before"


def check_image(shape: tuple[int, ...], *, net: str, smallest: int) -> None:
    """Refuse rows that are no images ``(channels, height, width)``, or whose side is below ``smallest``.

    Raises:
        UsageError: what was received, what the network needs, and what takes such rows.
    """
    if len(shape) != 3:
        raise UsageError(
            f"net {net} needs images (channels, height, width), but a row has shape {shape}; use --net mlp"
        )
    if min(shape[1:]) < smallest:
        raise UsageError(
            f"net {net} needs images of at least {smallest}x{smallest} to halve them so often, but a row has "
            f"shape {shape}; use --net mlp"
        )
