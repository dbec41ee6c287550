"""Clipping by its two formulas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ensemble.training.clipping import clip_gradients


def parameters(*gradients: list[float]) -> list[Tensor]:
    made = []
    for gradient in gradients:
        parameter = torch.zeros(len(gradient), requires_grad=True)
        parameter.grad = torch.tensor(gradient)
        made.append(parameter)
    return made


def test_norm_is_taken_over_all_parameters_together() -> None:
    tensors = parameters([3.0, 0.0], [0.0, 4.0])
    norm, clipped = clip_gradients(tensors, clip_norm=1.0, clip_value=None)
    assert norm == pytest.approx(5.0)
    assert clipped
    torch.testing.assert_close(tensors[0].grad, torch.tensor([0.6, 0.0]))
    torch.testing.assert_close(tensors[1].grad, torch.tensor([0.0, 0.8]))


def test_a_small_gradient_is_left_bit_for_bit() -> None:
    tensors = parameters([0.1, -0.3])
    norm, clipped = clip_gradients(tensors, clip_norm=1.0, clip_value=0.5)
    assert not clipped
    assert norm == pytest.approx(0.1**0.5)
    assert torch.equal(tensors[0].grad, torch.tensor([0.1, -0.3]))


def test_a_zero_gradient_stays_zero() -> None:
    tensors = parameters([0.0, 0.0])
    assert clip_gradients(tensors, clip_norm=1.0, clip_value=1.0) == (0.0, False)
    assert torch.equal(tensors[0].grad, torch.zeros(2))


def test_by_element() -> None:
    tensors = parameters([3.0, -0.2, -7.0])
    _, clipped = clip_gradients(tensors, clip_norm=None, clip_value=0.5)
    assert clipped
    torch.testing.assert_close(tensors[0].grad, torch.tensor([0.5, -0.2, -0.5]))


def test_by_norm_comes_before_by_element() -> None:
    tensors = parameters([3.0, 4.0])
    clip_gradients(tensors, clip_norm=1.0, clip_value=0.7)
    torch.testing.assert_close(tensors[0].grad, torch.tensor([0.6, 0.7]))


def test_parameters_without_a_gradient_are_passed_over() -> None:
    (parameter,) = parameters([3.0, 4.0])
    assert clip_gradients([parameter, torch.zeros(2)], clip_norm=None, clip_value=None) == (5.0, False)
