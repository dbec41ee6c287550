"""Inverted dropout whose masks can come from outside, and the switch that Monte-Carlo passes need.

In training a unit is kept with probability 1 − p and then scaled by 1/(1 − p), so nothing is to be done at
test time (Srivastava et al. 2014). For predictions by dropout masks (Gal & Ghahramani 2016, arXiv 1506.02142)
dropout is on while batch norm stays in evaluation mode: ``net.eval()`` and ``dropout_active(net, True)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from ensemble.errors import UsageError
from ensemble.nets.modes import device_of, kept_modes, untouched


class Dropout(nn.Module):
    """Drops each element with probability ``p``.

    Attributes:
        active: True or False overrides the module's mode; None (the default) drops in training mode only.
        mask: Where it is set, it multiplies the input (same shape, scaled, see ``draw_mask``); else one is
            drawn from torch's default generator. Training in stacks sets it, so that each member's masks come
            from the member's own generator.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise UsageError(f"dropout is {p}, but a probability of dropping lies in [0, 1)")
        self.p = p
        self.active: bool | None = None
        self.mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        active = self.training if self.active is None else self.active
        if not active or self.p == 0:
            return x
        return x * (draw_mask(x, self.p) if self.mask is None else self.mask)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def draw_mask(like: Tensor, p: float, *, generator: torch.Generator | None = None) -> Tensor:
    """A mask of the shape, type, device and layout of ``like``: 1/(1 − p) with probability 1 − p, else 0."""
    mask = torch.empty_like(like, requires_grad=False)
    bits = random_bits(mask.numel(), mask.device, [generator])
    return keep(mask.as_strided((1, mask.numel()), (mask.numel(), 1)), bits, p).as_strided(
        mask.shape, mask.stride()
    )


LEVELS = 2**16
"""Of the random numbers that decide about an element."""


def random_bits(size: int, device: torch.device, generators: Sequence[torch.Generator | None]) -> Tensor:
    """``(generators, size)`` numbers of 16 bits, int16, each row from its own generator.

    On a CPU ``bernoulli_`` takes 7 ns an element, so that the masks of a network of 256 units took an eighth of its
    training; bits drawn four elements at a time, and compared many at a time, take a quarter of that.
    """
    words = torch.empty(len(generators), -(-size // 4), dtype=torch.int64, device=device)
    for row, generator in zip(words, generators, strict=True):
        row.random_(-(2**63), None, generator=generator)
    return words.view(torch.int16)[:, :size]


def keep(masks: Tensor, bits: Tensor, p: float) -> Tensor:
    """Fill ``masks``, of the shape of ``bits``, in place: 1/(1 − p) with probability 1 − p, else 0.

    p is met to 1/65,536, and the scale is that of the p that is met, so the mean of a mask is 1.
    """
    kept = min(max(round((1 - p) * LEVELS), 1), LEVELS - 1)
    return torch.lt(bits, kept - LEVELS // 2, out=masks).mul_(LEVELS / kept)


def replace_dropout(net: nn.Module) -> nn.Module:
    """Put our ``Dropout`` where ``net`` has ``nn.Dropout``; returns the network, which is changed in place.

    Dropout of whole channels (``nn.Dropout2d`` and the like) and the total one (p = 1) are left as they are;
    the switch below works for them too.
    """
    ours: dict[nn.Module, Dropout] = {}  # one module may stand in several places
    if type(net) is nn.Dropout and net.p < 1:
        return Dropout(net.p)
    for module in list(net.modules()):
        for name, child in module._modules.items():
            if type(child) is nn.Dropout and child.p < 1:
                module._modules[name] = ours.setdefault(child, Dropout(child.p))
    return net


def dropout_layers(net: nn.Module) -> list[str]:
    """Names of the modules that drop units, ours and torch's."""
    return [name for name, module in net.named_modules() if _drops(module)]


@contextmanager
def dropout_active(net: nn.Module, active: bool) -> Iterator[None]:
    """Every dropout module of ``net`` is on, or off, whatever its mode; all other modules keep theirs."""
    ours = [(module, module.active) for module in net.modules() if isinstance(module, Dropout)]
    with kept_modes(net):
        try:
            for module in net.modules():
                if isinstance(module, Dropout):
                    module.active = active
                elif _drops(module):
                    module.training = active
            yield
        finally:
            for module, before in ours:
                module.active = before


def has_functional_dropout(net: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether ``net`` draws random numbers in training mode that no dropout module accounts for.

    Two training passes over the same two rows, with dropout modules off and batch norm in evaluation mode,
    under different seeds: where they differ, the network calls ``F.dropout`` or the like itself, which cannot
    be switched from outside, so predictions by dropout masks would miss it.

    Args:
        net: The network; left as it was.
        shape: Of one row.
    """
    rows = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).to(device_of(net))
    outputs = []
    with untouched(net):
        net.train()
        for module in net.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        with dropout_active(net, False):
            for seed in (0, 1):
                torch.manual_seed(seed)
                outputs.append(net(rows))
    return not torch.equal(outputs[0], outputs[1])


def _drops(module: nn.Module) -> bool:
    return isinstance(module, Dropout | _DropoutNd)
