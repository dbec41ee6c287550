from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ensemble.nets.initialization import draw, initialize, orthogonal
from tests.nets.scenarios import small

STD = {
    "gaussian": lambda inputs: 0.01,
    "xavier": lambda inputs: 1 / math.sqrt(inputs),
    "he": lambda inputs: math.sqrt(2 / inputs),
}


@pytest.mark.parametrize("shape", [(300, 200), (64, 32, 5, 3)])
@pytest.mark.parametrize("init", STD)
def test_mean_and_deviation_are_those_of_the_formula(init: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weights = draw(shape, init=init)
    std, count = STD[init](math.prod(shape[1:])), math.prod(shape)
    assert weights.shape == shape
    assert abs(weights.mean().item()) < 5 * std / math.sqrt(count)
    assert abs(weights.std().item() / std - 1) < 5 / math.sqrt(2 * count)


@pytest.mark.parametrize("init", STD)
def test_he_and_xavier_keep_the_signal_and_the_small_gaussian_loses_it(init: str) -> None:
    torch.manual_seed(0)
    signal = torch.randn(256, 512)
    for _ in range(6):
        signal = nn.functional.linear(signal, draw((512, 512), init=init))
        signal = signal.relu() if init == "he" else signal
    second_moment = signal.square().mean().item()
    assert second_moment < 1e-6 if init == "gaussian" else 0.5 < second_moment < 2


@pytest.mark.parametrize(("rows", "columns"), [(5, 9), (9, 5), (7, 7)])
def test_the_shorter_side_is_orthonormal(rows: int, columns: int) -> None:
    weights = orthogonal(rows, columns)
    assert weights.shape == (rows, columns)
    gram = weights @ weights.T if rows <= columns else weights.T @ weights
    torch.testing.assert_close(gram, torch.eye(min(rows, columns)), atol=1e-5, rtol=0)


def test_an_orthogonal_kernel_is_flattened_to_outputs_by_inputs() -> None:
    flat = draw((6, 3, 2, 2), init="orthogonal").reshape(6, 12)
    torch.testing.assert_close(flat @ flat.T, torch.eye(6), atol=1e-5, rtol=0)


@pytest.mark.parametrize("net", ["mlp", "lenet", "convnet", "resnet"])
def test_every_bias_has_the_constant_and_batch_norm_starts_as_the_identity(net: str) -> None:
    built = small(net, "after", init="orthogonal", bias_init=0.1)
    seen = set()
    for module in built.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            assert (module.bias == 0.1).all()
            seen.add("bias")
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
            seen.add("norm")
    assert seen == {"bias", "norm"}


def test_nothing_of_torchs_own_start_is_left() -> None:
    net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4, affine=False), nn.Conv2d(2, 3, 3))
    for parameter in net.parameters():
        parameter.data.fill_(math.nan)
    initialize(net, init="he", bias_init=0.5)
    assert all(torch.isfinite(parameter).all() for parameter in net.parameters())
