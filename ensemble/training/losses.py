"""Losses, one value a row, so that heads can weigh rows; and what a network's outputs mean as predictions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the field's own name for it)

from ensemble.data.dataset import DataSpec
from ensemble.errors import UsageError
from ensemble.functions import load_function

RowLoss = Callable[[Tensor, Tensor], Tensor]
"""``(rows, outputs), (rows,) -> (rows,)``, or a scalar from a user's own loss."""

SMALLEST_VARIANCE = 1e-6


def loss_function(name: str) -> RowLoss:
    """The loss of that name.

    A user's MODULE:FUNCTION takes ``(rows, classes)`` logits and ``(rows,)`` class indices, or in regression
    ``(rows,)`` predictions and ``(rows,)`` targets, both standardized, and gives a scalar or one value a row.
    """
    known: dict[str, RowLoss] = {
        "cross_entropy": cross_entropy,
        "gaussian": gaussian_nll,
        "mse": squared_error,
    }
    return known[name] if name in known else _users_loss(name)


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """−log softmax(outputs)[target]; outputs are logits, targets class indices."""
    return F.cross_entropy(outputs, targets, reduction="none")


def gaussian_nll(outputs: Tensor, targets: Tensor) -> Tensor:
    """½ log σ² + (y − μ)²/(2σ²), with σ² = softplus(·) + 1e-6   (Lakshminarayanan et al., arXiv 1612.01474)."""
    mean, variance = outputs[:, 0], variance_of(outputs)
    return 0.5 * variance.log() + (targets - mean) ** 2 / (2 * variance)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """(y − μ)²."""
    return (targets - outputs[:, 0]) ** 2


def variance_of(outputs: Tensor) -> Tensor:
    """σ² of a network with two outputs, in standardized units."""
    return F.softplus(outputs[:, 1]) + SMALLEST_VARIANCE


def predictions(outputs: Tensor, spec: DataSpec) -> Tensor:
    """What the outputs say, in the target's own unit.

    Classification: ``(rows, classes)`` probabilities. Regression: ``(rows, 1)`` means, or ``(rows, 2)`` means and
    variances, scaled back from standardized targets; in float64, since a target may be large beside its spread.
    """
    if spec.task == "classification":
        return outputs.softmax(dim=-1)
    outputs = outputs.double()
    mean = outputs[..., :1] * spec.target_std + spec.target_mean
    if outputs.shape[-1] == 1:
        return mean
    variance = (F.softplus(outputs[..., 1:]) + SMALLEST_VARIANCE) * spec.target_std**2
    return torch.cat([mean, variance], dim=-1)


def _users_loss(name: str) -> RowLoss:
    function = load_function(name)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        value = function(outputs[:, 0] if outputs.shape[1] == 1 else outputs, targets)
        if not isinstance(value, Tensor) or value.shape not in (torch.Size([]), targets.shape):
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise UsageError(f"loss {name} returned {got}; it must return a scalar or one value a row")
        return value

    return loss
