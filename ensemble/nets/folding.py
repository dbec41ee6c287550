"""Trained chains of fully connected layers as plain matrices, and many of them as one: for predictions alone.

In evaluation mode batch norm is an affine map of each unit, so it goes into the weights of a layer beside it; dropout
is nothing. What is left of a small network is a few matrix products, and the first layers of all members together,
which see the same rows, are a single one. Units lie before rows in memory: a batch of rows is then the long side of
every product (a last layer of ten outputs takes a third of the time), and whatever is done to the outputs of a row
goes through rows side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ensemble.nets.dropout import Dropout
from ensemble.nets.heads import Network

Chain = list[tuple[Tensor, Tensor]]
"""Weights ``(inputs, width)`` and bias ``(width,)`` of each layer of one network."""

ROWS = 160
"""The fewest at a time that are long enough for the products, and a whole number of vectors."""

FEW = 16
"""Rows below which they lie before units: one row of a hundred members then takes a quarter of the time."""

HIDDEN = 2**20
"""Numbers in a hidden layer, of all rows and members that pass at a time: 4 MiB, twice, which stay in a cache."""


@dataclass(frozen=True)
class FoldedStack:
    """ReLU networks without batch norm: h ← W max(0, h) + b, layer by layer, the first one without the maximum.

    Attributes:
        first: ``(members × width, features)`` and its bias ``(members × width, 1)``, members one below the other.
        rest: ``(members, width, inputs)`` and biases ``(members, width, 1)``.
        members: How many.
    """

    first: tuple[Tensor, Tensor]
    rest: tuple[tuple[Tensor, Tensor], ...]
    members: int
    _rooms: list[tuple[Tensor, Tensor]] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def weights(self) -> int:
        """Of one member: products a row."""
        return self.first[0].numel() // self.members + sum(w.numel() // self.members for w, _ in self.rest)

    @property
    def rows(self) -> int:
        """So many at a time keep what lies between two layers in a cache: a multiple, or the products are slower."""
        return ROWS * max(1, HIDDEN // (self.members * self._widest * ROWS))

    @property
    def _widest(self) -> int:
        return max((weight.shape[2] for weight, _ in self.rest), default=1)

    def __call__(self, x: Tensor) -> Tensor:
        """``(rows, *shape)`` to ``(members, rows, outputs)``, in memory as ``(members, outputs, rows)`` if not few."""
        if len(x) < FEW:
            return self._few(x.flatten(1))
        first, bias = self.first
        x = x.flatten(1).t()
        if not self.rest:
            return torch.addmm(bias, first, x).view(self.members, -1, x.shape[1]).transpose(1, 2)
        *rest, last = self.rest
        with self._room(x) as (here, there):
            h = torch.addmm(bias, first, x, out=_shaped(here, len(first), x.shape[1]))
            h = h.view(self.members, -1, x.shape[1])
            for weight, bias in rest:
                here, there = there, here
                out = _shaped(here, self.members, weight.shape[1], x.shape[1])
                h = torch.baddbmm(bias, weight, h.relu_(), out=out)
            outputs: Tensor = torch.baddbmm(last[1], last[0], h.relu_())
        return outputs.transpose(1, 2)

    def _few(self, x: Tensor) -> Tensor:
        """The same with rows before units, since a product whose long side is a few rows takes four times as long."""
        first, bias = self.first
        h = torch.addmm(bias.t(), x, first.t()).view(len(x), self.members, -1).transpose(0, 1)
        for weight, bias in self.rest:
            h = torch.baddbmm(bias.mT, h.relu_(), weight.mT)
        return h

    @contextmanager
    def _room(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Memory of two hidden layers, kept for the next pass: fresh pages each time cost as much as the products.

        It leaves the list while it is used, so that threads that predict at once do not write into each other's.
        """
        size = self.members * self._widest * x.shape[1]
        room = self._rooms.pop() if self._rooms else None
        if room is None or len(room[0]) < size or room[0].device != x.device:
            with torch.inference_mode(False):  # else it could not be written into outside of that mode
                room = (torch.empty(size, device=x.device), torch.empty(size, device=x.device))
        yield room
        if x.shape[1] <= self.rows:
            self._rooms.append(room)


def _shaped(memory: Tensor, *shape: int) -> Tensor:
    return memory[: math.prod(shape)].view(shape)


def fold(nets: Sequence[nn.Module]) -> tuple[FoldedStack, ...]:
    """The networks as matrices, in order, in as many stacks as the caches ask for; none where they are not such chains.

    Args:
        nets: Of one architecture, on one device; what they say is that of evaluation mode.
    """
    folded = [_layers(net) for net in nets]
    chains = [chain for chain in folded if chain is not None]
    if not chains or len(chains) < len(nets):
        return ()
    widest = max(weight.shape[1] for weight, _ in chains[0])
    stacks = math.ceil(len(chains) / max(1, HIDDEN // (ROWS * widest)))
    size = math.ceil(len(chains) / stacks)
    return tuple(_stack(chains[start : start + size]) for start in range(0, len(chains), size))


def _stack(chains: Sequence[Chain]) -> FoldedStack:
    (first, first_bias), *rest = (
        [torch.stack(parts) for parts in zip(*layer, strict=True)] for layer in zip(*chains, strict=True)
    )
    return FoldedStack(
        first=(first.mT.flatten(0, 1).contiguous(), first_bias.reshape(-1, 1)),
        rest=tuple((weight.mT.contiguous(), bias[..., None]) for weight, bias in rest),
        members=len(chains),
    )


@torch.no_grad()
def _layers(net: nn.Module) -> Chain | None:
    """Layers with a ReLU between each two; None for any other network.

    Batch norm computes h ↦ s h + t with s = γ/√(σ² + ε) and t = β − s μ. Behind a linear layer it scales its columns,
    behind a ReLU the rows of the next one.
    """
    layers: Chain = []
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
