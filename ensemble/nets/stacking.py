"""Networks of one architecture as one: every weight has a leading axis of members, and one pass serves them all."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from ensemble.nets.dropout import Dropout, dropout_layers, has_functional_dropout, keep, random_bits
from ensemble.nets.modes import device_of, untouched


@dataclass(frozen=True)
class MaskShape:
    """What one dropout layer needs for a batch."""

    p: float
    features: tuple[int, ...]
    """Shape of its input without the axis of rows."""
    channels_last: bool
    """How that input lies in memory, which is the order in which a mask is drawn."""

    def draw(self, rows: int, generators: Sequence[torch.Generator], device: torch.device) -> Tensor:
        """Masks ``(members, rows, *features)``, each from its member's generator as ``Dropout`` would draw it."""
        size = rows * math.prod(self.features)
        masks = torch.empty(len(generators), size, device=device)
        keep(masks, random_bits(size, device, generators), self.p)
        if self.channels_last:
            channels, height, width = self.features
            return masks.view(-1, rows, height, width, channels).permute(0, 1, 4, 2, 3)
        return masks.view(-1, rows, *self.features)


class NetStack:
    """``members`` networks that differ in their weights alone.

    Attributes:
        parameters: By name, ``(members, *shape)``, leaves that an optimizer may hold.
        buffers: Likewise; batch norm writes its running statistics into them.
        mask_shapes: Of the dropout layers, in the order in which they draw.
    """

    def __init__(
        self, nets: Sequence[nn.Module], shape: tuple[int, ...], *, channels_last: bool = False
    ) -> None:
        """
        Args:
            nets: On one device; they are left alone.
            shape: Of one row.
            channels_last: How rows lie in memory when a network is trained by itself.
        """
        parameters, buffers = stack_module_state(list(nets))
        self.parameters: dict[str, Tensor] = {
            name: value.detach().requires_grad_(value.requires_grad) for name, value in parameters.items()
        }
        self.buffers: dict[str, Tensor] = buffers
        self._net = copy.deepcopy(nets[0])
        self._names = list(self._net.state_dict())
        self._dropouts = [
            module for module in self._net.modules() if isinstance(module, Dropout) and module.p > 0
        ]
        self.mask_shapes = _mask_shapes(self._net, self._dropouts, shape, channels_last=channels_last)

    def __len__(self) -> int:
        return len(next(iter(self.parameters.values())))

    def train(self, x: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """A pass in training mode: ``(members, rows, *shape)`` to ``(members, rows, outputs)``.

        ``masks`` are those of the dropout layers, see ``mask_shapes``.
        """
        self._net.train()
        outputs: Tensor = vmap(self._forward)(self.parameters, self.buffers, x, tuple(masks))
        return outputs

    def predict(self, x: Tensor) -> Tensor:
        """A pass in evaluation mode over rows that all members share: ``(rows, *shape)`` to the same."""
        self._net.eval()
        outputs: Tensor = vmap(self._forward, in_dims=(0, 0, None, None))(
            self.parameters, self.buffers, x, ()
        )
        return outputs

    def _forward(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, masks: tuple[Tensor, ...]
    ) -> Tensor:
        for module, mask in zip(self._dropouts, masks, strict=bool(masks)):
            module.mask = mask
        outputs: Tensor = functional_call(self._net, (parameters, buffers), (x,))
        return outputs

    def state(self) -> dict[str, Tensor]:
        """All entries ``(members, *shape)`` in the order of a network's ``state_dict``; the tensors themselves."""
        entries = self.parameters | self.buffers
        return {name: entries[name].detach() for name in self._names}


def why_not_stacked(nets: Sequence[nn.Module], shape: tuple[int, ...]) -> str | None:
    """Why these networks cannot be trained as one, in words; None where they can.

    They are tried, not guessed at: one pass in training mode and one in evaluation mode, with dropout, has to say of
    random rows what each network says alone, and to leave the same running statistics.

    Args:
        nets: At least two of one architecture; left as they were.
        shape: Of one row.
    """
    first = nets[0]
    state = {name for name, _ in first.named_parameters()} | {name for name, _ in first.named_buffers()}
    if state != set(first.state_dict()):
        return "it shares parameters between layers, or has buffers that are not saved"
    if len(dropout_layers(first)) > sum(isinstance(module, Dropout) for module in first.modules()):
        return "it drops by another module than nn.Dropout, whose masks cannot be given from outside"
    if has_functional_dropout(first, shape):
        return "it draws random numbers by a function, which cannot be given from outside"
    try:
        return _disagreement(nets, shape)
    except Exception as error:  # whatever vmap or the network's own code raises: it is theirs to decide
        return f"torch.func cannot run it in a stack: {type(error).__name__}: {str(error).splitlines()[0]}"


ROWS = 4
"""In a trial pass."""


def _disagreement(nets: Sequence[nn.Module], shape: tuple[int, ...]) -> str | None:
    device = device_of(nets[0])
    x = torch.randn(len(nets), ROWS, *shape, generator=torch.Generator().manual_seed(0)).to(device)
    stack = NetStack(nets, shape)
    generators = [torch.Generator(device).manual_seed(index) for index in range(len(nets))]
    masks = [mask.draw(ROWS, generators, device) for mask in stack.mask_shapes]
    with torch.no_grad():
        trained, predicted = stack.train(x, masks), stack.predict(x[0])
    for index, net in enumerate(nets):
        alone = copy.deepcopy(net)
        with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
            torch.manual_seed(index)
            if not _near(alone.train()(x[index]), trained[index]):
                return "in a stack it says something else of the same rows in training mode"
            after = alone.state_dict()
            if not all(_near(after[name], value[index]) for name, value in stack.state().items()):
                return "in a stack a training pass leaves other statistics"
            if not _near(alone.eval()(x[0]), predicted[index]):
                return "in a stack it says something else of the same rows in evaluation mode"
    return None


def _near(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one.double(), other.double(), rtol=1e-3, atol=1e-4)


def _mask_shapes(
    net: nn.Module, dropouts: Sequence[Dropout], shape: tuple[int, ...], *, channels_last: bool
) -> tuple[MaskShape, ...]:
    """Watch two rows go through, since only the network knows what its dropout layers get.

    Raises:
        ValueError: a layer is used twice, or not at all.
    """
    seen: list[tuple[Dropout, MaskShape]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        (x,) = inputs
        last = x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
        assert isinstance(module, Dropout)
        seen.append((module, MaskShape(module.p, tuple(x.shape[1:]), last)))

    hooks = [module.register_forward_pre_hook(note) for module in dropouts]
    rows = torch.zeros(2, *shape, device=device_of(net))
    if channels_last:
        rows = rows.contiguous(memory_format=torch.channels_last)
    try:
        with untouched(net):
            net.train()(rows)
    finally:
        for hook in hooks:
            hook.remove()
    if [module for module, _ in seen] != list(dropouts):
        raise ValueError("its dropout layers are not passed once each, in the order in which it holds them")
    return tuple(mask for _, mask in seen)
