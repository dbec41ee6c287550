"""Which axes of which parameters may be reordered together without changing what a network computes.

The units of a hidden layer have no order: reordering them permutes the outputs of the layer that makes them
and the inputs of every layer that reads them (Ainsworth et al. 2022, Git Re-Basin, arXiv 2209.04836). A
network declares this by a method ``permutation_spec()``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ensemble.errors import UsageError


@dataclass(frozen=True)
class Axis:
    """An axis that follows a permutation; a unit has ``block`` places (the pixels of a flattened channel)."""

    permutation: str
    block: int = 1


@dataclass(frozen=True)
class PermutationSpec:
    """The permutations of a network.

    Attributes:
        sizes: Units of each permutation by its name.
        axes: Of each entry of the ``state_dict``, None where the order is fixed (inputs, outputs, kernels).
        buffers: Entries that follow a permutation without being learned (running statistics).
    """

    sizes: dict[str, int]
    axes: dict[str, tuple[Axis | None, ...]]
    buffers: frozenset[str] = frozenset()


def permutations_of(net: nn.Module) -> PermutationSpec:
    """What ``net`` declares.

    Raises:
        UsageError: it declares nothing, has several heads, or declares other entries than it has.
    """
    declare = getattr(net, "permutation_spec", None)
    name = type(net).__qualname__
    if declare is None:
        raise UsageError(
            f"network {name} cannot be matched: it declares no permutations; give it a method "
            "permutation_spec() that returns an ensemble.nets.permutations.PermutationSpec, or leave --match "
            "out"
        )
    spec: PermutationSpec = declare()
    missing = sorted(set(net.state_dict()) ^ set(spec.axes))
    if missing:
        raise UsageError(
            f"permutation_spec() of network {name} and its state_dict differ in {', '.join(missing)}; "
            "every entry needs its axes"
        )
    return spec


def chain_permutations(parts: Mapping[str, nn.Module]) -> PermutationSpec:
    """The permutations of a network that passes its rows through ``parts`` one after the other.

    Each linear layer or convolution gives its units a permutation named after it; the outputs of the last one
    are the network's own and keep their order. A layer that branches says how in a method ``thread`` (see
    ``Threaded``).

    Args:
        parts: The network's children by name, in the order of the forward pass.
    """
    walk = Walk()
    units: str | None = None
    for name, part in parts.items():
        units = walk.through(name, part, units)
    outputs = units
    return PermutationSpec(
        sizes={name: size for name, size in walk.sizes.items() if name != outputs},
        axes={
            entry: tuple(None if axis is None or axis.permutation == outputs else axis for axis in axes)
            for entry, axes in walk.axes.items()
        },
        buffers=frozenset(walk.buffers),
    )


@runtime_checkable
class Threaded(Protocol):
    """A module that says how the units that enter it leave it."""

    def thread(self, walk: Walk, name: str, units: str | None) -> str | None:
        """Note the module's parameters in ``walk``; returns the permutation of what leaves it."""


class Walk:
    """Follows units through modules and notes which axes they become."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.axes: dict[str, tuple[Axis | None, ...]] = {}
        self.buffers: list[str] = []

    def through(self, name: str, module: nn.Module, units: str | None) -> str | None:
        """The permutation of what leaves ``module`` when ``units`` enter it."""
        if isinstance(module, Threaded):
            return module.thread(self, name, units)
        if isinstance(module, nn.Sequential):
            for child_name, child in module.named_children():
                units = self.through(f"{name}.{child_name}", child, units)
            return units
        if isinstance(module, nn.Linear | nn.Conv2d):
            return self.weight(name, module, units)
        if isinstance(module, _BatchNorm):
            self._norm(name, module, units)
            return units
        if module.state_dict():
            raise UsageError(f"{name} is a {type(module).__name__}, whose permutations are not known")
        return units

    def weight(
        self, name: str, layer: nn.Linear | nn.Conv2d, into: str | None, *, out: str | None = None
    ) -> str:
        """Note a layer that reads ``into`` and writes ``out``, by default a permutation of its own."""
        width, inputs = layer.weight.shape[:2]
        if out is None:
            out = name
            self.sizes[out] = width
        read = None if into is None else Axis(into, inputs // self.sizes[into])
        kernel = (None,) * (layer.weight.ndim - 2)
        self.axes[f"{name}.weight"] = (Axis(out), read, *kernel)
        if layer.bias is not None:
            self.axes[f"{name}.bias"] = (Axis(out),)
        return out

    def _norm(self, name: str, norm: _BatchNorm, units: str | None) -> None:
        axes = (None if units is None else Axis(units),)
        for entry, value in norm.state_dict().items():
            self.axes[f"{name}.{entry}"] = axes if value.ndim else ()
        self.buffers += [f"{name}.{entry}" for entry, _ in norm.named_buffers()]
