"""Augmentation of training images: flipped and moved at random, a batch at a time, on the device they are on.

What happens to the rows of an epoch is drawn before it, from the member's own stream for that epoch: nothing about
chance needs a place in a checkpoint, and the bits are the same however an epoch was interrupted. Only training
batches pass here; whatever is evaluated, calibrated or refreshed sees the rows as they are.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ensemble.config import TrainConfig
from ensemble.data.dataset import DataSpec
from ensemble.errors import UsageError
from ensemble.members.plan import MemberPlan
from ensemble.streams import Purpose, generator, member_sequence
from ensemble.training.rows import to_device

REACH = 1 / 8
"""How far an image moves at most, as a share of its side: 4 pixels of 32, as for CIFAR (He et al. 2016, arXiv
1512.03385), 3 of 28, and at least one."""

Moves = NDArray[np.int64]
"""``(rows, 3)``: whether a row is flipped (0 or 1), then pixels down and pixels to the right; zeros change nothing."""


def check_augmentation(train: TrainConfig, spec: DataSpec) -> None:
    """See that pixels of the rows may change places.

    Raises:
        UsageError: rows are no images, or every pixel was standardized by a mean of its own.
    """
    if train.augment == "none":
        return
    if len(spec.shape) != 3:
        raise UsageError(
            f"augment {train.augment} moves pixels of images, but a row of {spec.source!r} has shape {spec.shape}; "
            "leave --augment out"
        )
    if len(spec.mean) not in (1, spec.shape[0]):
        raise UsageError(
            f"augment {train.augment} moves pixels, but standardize {spec.standardize} gives each a scale of its own; "
            "add --standardize pixels"
        )


def draw_moves(plan: MemberPlan, *, epoch: int, rows: int) -> Moves:
    """What happens to each row of an epoch, in the epoch's order.

    A row is flipped left to right with probability ½, and moved by whole pixels, each distance within `REACH` of
    the side being as likely as any other.

    Args:
        plan: The member, whose stream is drawn from.
        epoch: Counts from 0.
        rows: In the epoch.
    """
    kinds = plan.train.augment.split(",")
    if kinds == ["none"]:
        return np.broadcast_to(np.int64(0), (rows, 3))
    random = generator(member_sequence(plan.seed, plan.index, Purpose.AUGMENT, epoch))
    moves = np.zeros((rows, 3), np.int64)
    flips = random.integers(
        0, 2, rows
    )  # drawn in either case: with shift or without, the same rows are flipped
    if "flip" in kinds:
        moves[:, 0] = flips
    if "shift" in kinds:
        for column, side in enumerate(plan.shape[1:], start=1):
            reach = max(1, int(side * REACH))
            moves[:, column] = random.integers(-reach, reach + 1, rows)
    return moves


def black(spec: DataSpec, device: torch.device) -> Tensor:
    """``(channels, 1, 1)`` or ``(1, 1, 1)`` what 0 in the source's own unit became: −mean / sd, float32."""
    values = -np.asarray(spec.mean, np.float64) / np.asarray(spec.std, np.float64)
    return torch.tensor(values, dtype=torch.float32, device=device).reshape(-1, 1, 1)


def moved(x: Tensor, moves: Moves, *, fill: Tensor) -> Tensor:
    """Each image flipped, then moved; laid out in memory as it was.

    What comes in from outside is ``fill``, the `black` of the data: images of things before a black background go on
    behind their edge, where the mean of the data would draw a frame that no test row has.

    Args:
        x: ``(rows, channels, height, width)``, standardized.
        moves: Of these rows. Where they change nothing, ``x`` itself comes back.
        fill: Of one channel or of each.
    """
    if not moves.any():
        return x
    _, _, height, width = x.shape
    flip, down, right = to_device(np.ascontiguousarray(moves), x.device).unbind(dim=1)
    # Where each pixel comes from: row and column of the source, by image.
    ys = torch.arange(height, device=x.device) - down[:, None]
    xs = torch.arange(width, device=x.device) - right[:, None]
    inside = ((ys >= 0) & (ys < height))[:, :, None] & ((xs >= 0) & (xs < width))[:, None, :]
    xs = torch.where(flip[:, None] == 1, width - 1 - xs, xs)
    image = torch.arange(len(x), device=x.device)[:, None, None]
    found = x[image, :, ys.clamp(0, height - 1)[:, :, None], xs.clamp(0, width - 1)[:, None, :]]
    return torch.empty_like(x).copy_(torch.where(inside[:, None], found.permute(0, 3, 1, 2), fill))
