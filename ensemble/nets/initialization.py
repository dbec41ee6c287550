"""Initial weights, for a layer with D_in inputs (channels × kernel area for a convolution):

gaussian    N(0, 0.01²)
xavier      N(0, 1/D_in), which keeps the variance of linear units on the way forward (Glorot & Bengio 2010;
            torch's ``xavier_normal_`` is another, of variance 2/(D_in + D_out))
he          N(0, 2/D_in), since ReLU passes half of the second moment (He et al. 2015, arXiv 1502.01852)
orthogonal  U or V of the SVD of a Gaussian (D_out, D_in) matrix, the one with that shape
            (Saxe et al. 2013, arXiv 1312.6120)

Biases, those of the last layer included, start at one constant; batch norm starts as γ = 1, β = 0.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Initialization = Literal["he", "xavier", "orthogonal", "gaussian"]
GAUSSIAN_STD = 0.01


@torch.no_grad()
def initialize(net: nn.Module, *, init: Initialization, bias_init: float) -> None:
    """Set every linear layer, convolution and batch norm of ``net`` in place, in the order of its modules.

    Draws from torch's default generator.
    """
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.weight.copy_(draw(tuple(module.weight.shape), init=init))
            if module.bias is not None:
                module.bias.fill_(bias_init)
        elif isinstance(module, _BatchNorm):
            module.reset_running_stats()
            if module.affine:
                module.weight.fill_(1.0)
                module.bias.fill_(0.0)


def draw(shape: tuple[int, ...], *, init: Initialization) -> Tensor:
    """Weights of one layer, ``(D_out, inputs)`` or ``(D_out, channels, height, width)`` of the kernel."""
    inputs = math.prod(shape[1:])
    if init == "orthogonal":
        return orthogonal(shape[0], inputs).reshape(shape)
    std = {"gaussian": GAUSSIAN_STD, "xavier": 1 / math.sqrt(inputs), "he": math.sqrt(2 / inputs)}[init]
    return torch.randn(shape) * std


def orthogonal(rows: int, columns: int) -> Tensor:
    """A ``(rows, columns)`` matrix whose rows (or columns, whichever are fewer) are orthonormal."""
    left, _, right = torch.linalg.svd(torch.randn(rows, columns), full_matrices=False)
    weights: Tensor = left if rows >= columns else right
    return weights
