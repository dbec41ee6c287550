"""Losses against torch's own, and predictions in the target's unit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from ensemble.errors import UsageError
from ensemble.training.losses import loss_function, predictions
from tests.scenarios import blobs, line


def test_gaussian_is_torchs_without_the_constant() -> None:
    outputs, targets = torch.randn(20, 2), torch.randn(20)
    variance = F.softplus(outputs[:, 1]) + 1e-6
    expected = F.gaussian_nll_loss(outputs[:, 0], targets, variance, reduction="none")
    torch.testing.assert_close(loss_function("gaussian")(outputs, targets), expected)


def test_cross_entropy_is_taken_once_through_a_softmax() -> None:
    outputs, targets = torch.randn(20, 3), torch.arange(20) % 3
    expected = -outputs.softmax(1)[range(20), targets].log()
    torch.testing.assert_close(loss_function("cross_entropy")(outputs, targets), expected)


def test_squared_error() -> None:
    loss = loss_function("mse")(torch.tensor([[2.0], [5.0]]), torch.tensor([1.0, 1.0]))
    assert loss.tolist() == [1.0, 16.0]


def test_regression_predictions_are_in_the_targets_unit() -> None:
    spec = line().spec
    said = predictions(torch.tensor([[0.5, 0.0]]), spec)[0]
    assert said[0].item() == pytest.approx(0.5 * spec.target_std + spec.target_mean, rel=1e-6)
    assert said[1].item() == pytest.approx((np.log(2) + 1e-6) * spec.target_std**2, rel=1e-5)


def test_class_predictions_are_probabilities() -> None:
    said = predictions(torch.randn(5, 2, 3), blobs().spec)
    torch.testing.assert_close(said.sum(dim=-1), torch.ones(5, 2))


def returns_a_pair(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.zeros(2)


def test_a_users_loss_of_another_shape_is_refused() -> None:
    loss = loss_function("tests.training.test_losses:returns_a_pair")
    with pytest.raises(UsageError, match=r"returned \(2,\); it must return a scalar or one value a row"):
        loss(torch.zeros(3, 1), torch.zeros(3))
