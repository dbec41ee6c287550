from __future__ import annotations

import pytest
import torch
from torch import nn

from ensemble.nets.batchnorm import refresh_batch_norm
from ensemble.nets.dropout import Dropout
from tests.nets.scenarios import rows, small, weights_of


def test_statistics_are_the_mean_over_the_batches() -> None:
    net = nn.Sequential(Dropout(0.5), nn.BatchNorm2d(3, momentum=0.3), nn.Dropout(0.5)).eval()
    net[1].running_mean.fill_(7)
    batches = [rows(size, shape=(3, 4, 4), seed=size) * size for size in (8, 8, 2)]
    assert refresh_batch_norm(net, iter(batches)) == 3
    torch.testing.assert_close(net[1].running_mean, torch.stack([b.mean((0, 2, 3)) for b in batches]).mean(0))
    torch.testing.assert_close(net[1].running_var, torch.stack([b.var((0, 2, 3)) for b in batches]).mean(0))
    assert net[1].num_batches_tracked == 3
    assert net[1].momentum == 0.3


def test_a_second_layer_sees_what_the_first_sends_in_training() -> None:
    net = nn.Sequential(nn.BatchNorm1d(4), nn.ReLU(), nn.BatchNorm1d(4))
    batches = [rows(16, shape=(4,), seed=seed) for seed in range(3)]
    refresh_batch_norm(net, batches)
    sent = [((b - b.mean(0)) / (b.var(0, unbiased=False) + 1e-5).sqrt()).relu() for b in batches]
    torch.testing.assert_close(net[2].running_mean, torch.stack([s.mean(0) for s in sent]).mean(0))


@pytest.mark.parametrize("training", [True, False])
def test_only_running_statistics_change(training: bool) -> None:
    net = small("convnet", dropout=0.5).train(training)
    before, state = weights_of(net), torch.get_rng_state()
    refresh_batch_norm(net, [rows(8)])
    changed = {key for key, value in weights_of(net).items() if (before[key] != value).any()}
    assert {key.rpartition(".")[2] for key in changed} == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
    assert torch.equal(state, torch.get_rng_state())
    assert {module.training for module in net.modules()} == {training}
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_refresh_repeats_bit_for_bit() -> None:
    net, batches = small("resnet"), [rows(8, seed=seed) for seed in range(3)]
    refresh_batch_norm(net, batches)
    first = weights_of(net)
    refresh_batch_norm(net, batches)
    assert all((first[key] == value).all() for key, value in weights_of(net).items())


def test_without_batch_norm_no_batch_is_drawn() -> None:
    batches = iter([rows(2)])
    assert refresh_batch_norm(small("mlp", "none"), batches) == 0
    assert next(batches, None) is not None


def test_no_batches_are_refused_and_the_statistics_stay() -> None:
    net = small("mlp")
    refresh_batch_norm(net, [rows(8)])
    before = weights_of(net)
    with pytest.raises(ValueError, match="no batches"):
        refresh_batch_norm(net, [])
    assert all((before[key] == value).all() for key, value in weights_of(net).items())


def test_a_failing_pass_restores_momentum_and_modes() -> None:
    net = small("mlp")
    with pytest.raises(RuntimeError):
        refresh_batch_norm(net, [torch.zeros(4, 3)])
    assert {m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm1d)} == {0.1}
    assert all(module.training for module in net.modules())
