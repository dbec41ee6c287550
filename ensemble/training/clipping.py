"""Gradient clipping, by norm over all parameters of a network together and by element."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def clip_gradients(
    parameters: Sequence[Tensor], *, clip_norm: float | None, clip_value: float | None
) -> tuple[float, bool]:
    """Clip the gradients in place; by norm first where both are asked for.

    By norm: ḡ = g · min(‖g‖, c)/‖g‖, with ḡ = 0 at g = 0. By element: ḡ_i = max(min(g_i, c), −c).

    Returns:
        ‖g‖₂ before clipping, and whether anything was clipped.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0
    clipped = False
    if clip_norm is not None and norm > clip_norm:
        torch._foreach_mul_(gradients, clip_norm / norm)
        clipped = True
    if clip_value is not None:
        largest = float(torch.nn.utils.get_total_norm(gradients, math.inf)) if gradients else 0.0
        if largest > clip_value:
            torch._foreach_clamp_min_(gradients, -clip_value)
            torch._foreach_clamp_max_(gradients, clip_value)
            clipped = True
    return norm, clipped


def clip_each(
    gradients: Sequence[Tensor], *, clip_norm: float | None, clip_value: float | None
) -> tuple[list[float], list[bool]]:
    """The same for members that lie in one tensor, ``(members, *shape)`` each; every member is clipped by itself.

    Returns:
        ‖g‖₂ of each member before clipping, and whether anything of it was clipped.
    """
    norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients]).norm(dim=0)
    values: list[float] = norms.tolist()
    clipped = [False] * len(values)
    if clip_norm is not None:
        clipped = [value > clip_norm for value in values]
        scale = torch.where(norms > clip_norm, clip_norm / norms, 1.0)
        for g in gradients:
            g.mul_(scale.view(-1, *[1] * (g.ndim - 1)))
    if clip_value is not None:
        largest = torch.stack([g.flatten(1).abs().amax(dim=1) for g in gradients]).amax(dim=0)
        clipped = [c or value > clip_value for c, value in zip(clipped, largest.tolist(), strict=True)]
        for g in gradients:
            g.clamp_(-clip_value, clip_value)
    return values, clipped
