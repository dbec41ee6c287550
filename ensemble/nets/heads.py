"""One trunk and the heads on it (Lee et al. 2015, arXiv 1511.06314)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ensemble.errors import UsageError
from ensemble.nets.permutations import PermutationSpec, chain_permutations


class Network(nn.Module):
    """A trunk and one head: rows ``(rows, *shape)`` to outputs ``(rows, outputs)``."""

    def __init__(self, trunk: nn.Sequential, head: nn.Sequential) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.trunk(x))
        return outputs

    def permutation_spec(self) -> PermutationSpec:
        """The units that may be renamed without changing what the network computes."""
        return chain_permutations({"trunk": self.trunk, "head": self.head})


class SharedTrunk(nn.Module):
    """A trunk and several heads: rows ``(rows, *shape)`` to outputs ``(rows, heads, outputs)``.

    Trained on the sum of the heads' losses, each head receives its own gradient, and the trunk the mean of
    what the heads ask of it, so both learn at the scale of a network with one head.
    """

    def __init__(self, trunk: nn.Sequential, heads: list[nn.Sequential]) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleList(heads)

    def forward(self, x: Tensor) -> Tensor:
        features = scale_gradient(self.trunk(x), 1 / len(self.heads))
        return torch.stack([head(features) for head in self.heads], dim=1)

    def permutation_spec(self) -> PermutationSpec:
        raise UsageError(
            f"a network of {len(self.heads)} heads cannot be matched: units of its trunk serve all heads at "
            "once; train it with --heads 1, or leave --match out"
        )


def join(trunk: nn.Sequential, head: Callable[[], nn.Sequential], *, heads: int) -> Network | SharedTrunk:
    """A network of ``heads`` heads on ``trunk``, each made by its own call of ``head``."""
    return Network(trunk, head()) if heads == 1 else SharedTrunk(trunk, [head() for _ in range(heads)])


def scale_gradient(x: Tensor, scale: float) -> Tensor:
    """``x`` itself, bit for bit, whose gradient is multiplied by ``scale`` on the way back."""
    held = x.detach()
    return held + scale * (x - held)
