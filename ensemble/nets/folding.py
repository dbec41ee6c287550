"""Trained chains of fully connected layers as plain matrices, and many of them as one: for predictions alone.

In evaluation mode batch norm is an affine map of each unit, so it goes into the weights of a layer beside it; dropout
is nothing. What is left of a small network is a few matrix products, and the first layers of all members together,
which see the same rows, are a single one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ensemble.nets.dropout import Dropout
from ensemble.nets.heads import Network


@dataclass(frozen=True)
class FoldedStack:
    """ReLU networks without batch norm: h ← max(0, h W + b), layer by layer, the last one without the maximum.

    Attributes:
        first: ``(features, members × width)`` and its bias, of all members side by side.
        rest: ``(members, inputs, width)`` and biases ``(members, 1, width)``.
        members: How many.
    """

    first: tuple[Tensor, Tensor]
    rest: tuple[tuple[Tensor, Tensor], ...]
    members: int

    @property
    def weights(self) -> int:
        """Of one member: products a row."""
        return self.first[0].numel() // self.members + sum(w.numel() // self.members for w, _ in self.rest)

    def __call__(self, x: Tensor) -> Tensor:
        """``(rows, *shape)`` to ``(members, rows, outputs)``."""
        weight, bias = self.first
        h: Tensor = torch.addmm(bias, x.flatten(1), weight).view(len(x), self.members, -1).transpose(0, 1)
        for weight, bias in self.rest:
            h = torch.baddbmm(bias, h.relu_(), weight)
        return h


def fold(nets: Sequence[nn.Module]) -> FoldedStack | None:
    """The networks as matrices; None where one is more than a chain of what is folded here.

    Args:
        nets: Of one architecture, on one device; what they say is that of evaluation mode.
    """
    folded = [_layers(net) for net in nets]
    chains = [chain for chain in folded if chain is not None]
    if not chains or len(chains) < len(nets):
        return None
    (first, first_bias), *rest = (
        [torch.stack(parts) for parts in zip(*layer, strict=True)] for layer in zip(*chains, strict=True)
    )
    return FoldedStack(
        first=(first.permute(1, 0, 2).flatten(1).contiguous(), first_bias.flatten()),
        rest=tuple((weight, bias[:, None]) for weight, bias in rest),
        members=len(nets),
    )


@torch.no_grad()
def _layers(net: nn.Module) -> list[tuple[Tensor, Tensor]] | None:
    """Weights ``(inputs, width)`` and biases of layers with a ReLU between each two; None for any other network.

    Batch norm computes h ↦ s h + t with s = γ/√(σ² + ε) and t = β − s μ. Behind a linear layer it scales its columns,
    behind a ReLU the rows of the next one.
    """
    layers: list[tuple[Tensor, Tensor]] = []
    linear = True  # whether the last layer has no ReLU behind it yet
    scale = shift = None  # a batch norm that waits for the next layer
    for module in _chain(net):
        if isinstance(module, nn.Flatten | Dropout | nn.Dropout):
            if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim, len(layers)) != (
                1,
                -1,
                0,
            ):
                return None
        elif isinstance(module, nn.Linear) and (not layers or not linear):
            weight = module.weight.t().clone()
            bias = (
                torch.zeros(module.out_features, device=weight.device)
                if module.bias is None
                else module.bias.clone()
            )
            if scale is not None and shift is not None:
                bias, weight, scale, shift = bias + shift @ weight, scale[:, None] * weight, None, None
            layers.append((weight, bias))
            linear = True
        elif (
            isinstance(module, nn.BatchNorm1d)
            and layers
            and module.running_mean is not None
            and scale is None
        ):
            assert module.running_var is not None
            s = (module.running_var + module.eps).rsqrt() * (1 if module.weight is None else module.weight)
            t = (0 if module.bias is None else module.bias) - s * module.running_mean
            if linear:
                weight, bias = layers[-1]
                layers[-1] = (weight * s, bias * s + t)
            else:
                scale, shift = s, t
        elif isinstance(module, nn.ReLU) and layers and linear:
            linear = False
        else:
            return None
    return layers if layers and linear else None


def _chain(net: nn.Module) -> list[nn.Module]:
    """The modules of nested sequences, in order; a module of another kind stands for itself."""
    if isinstance(net, Network):
        return [*_chain(net.trunk), *_chain(net.head)]
    if isinstance(net, nn.Sequential):
        return [module for child in net for module in _chain(child)]
    return [net]
