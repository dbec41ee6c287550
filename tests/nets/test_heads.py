from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ensemble.nets.build import check_net
from ensemble.nets.heads import Network, SharedTrunk, scale_gradient
from tests.nets.scenarios import KINDS, OUTPUTS, SHAPE, rows, small

HEADS = 3


def loss(outputs: Tensor) -> Tensor:
    return (outputs.square().sum(-1)).mean()


@pytest.mark.parametrize(("net", "batch_norm"), KINDS)
def test_every_head_answers_with_its_own_start(net: str, batch_norm: str) -> None:
    built = small(net, batch_norm, heads=HEADS, dropout=0.1)
    check_net(built, shape=SHAPE, outputs=OUTPUTS, heads=HEADS, name=net)
    outputs = built.eval()(rows(4))
    assert outputs.shape == (4, HEADS, OUTPUTS)
    assert not torch.allclose(outputs[:, 0], outputs[:, 1])


@pytest.mark.parametrize(("net", "batch_norm"), KINDS)
def test_the_trunk_learns_from_the_mean_of_the_heads_and_each_head_from_its_own_loss(
    net: str, batch_norm: str
) -> None:
    built = small(net, batch_norm, heads=HEADS).double()
    assert isinstance(built, SharedTrunk)
    x = rows(5).double()
    outputs = built(x)
    sum(loss(outputs[:, head]) for head in range(HEADS)).backward()
    trunk = [torch.zeros_like(parameter) for parameter in built.trunk.parameters()]
    assert trunk
    for head in built.heads:
        alone = Network(built.trunk, head)
        own = torch.autograd.grad(loss(alone(x)), [*built.trunk.parameters(), *head.parameters()])
        trunk = [total + gradient / HEADS for total, gradient in zip(trunk, own[: len(trunk)], strict=True)]
        for parameter, gradient in zip(head.parameters(), own[len(trunk) :], strict=True):
            torch.testing.assert_close(parameter.grad, gradient)
    for parameter, gradient in zip(built.trunk.parameters(), trunk, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_scaling_a_gradient_leaves_the_value_bit_for_bit() -> None:
    x = (rows(50) * 1e3).requires_grad_()
    y = scale_gradient(x, 1 / 7)
    assert torch.equal(x, y)
    y.sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 1 / 7))


@pytest.mark.parametrize(("hidden", "shared"), [((), 0), ((8,), 1), ((8, 8), 1), ((8, 8, 8), 2)])
def test_an_mlp_shares_all_but_its_last_hidden_layer_unless_it_is_the_only_one(
    hidden: tuple[int, ...], shared: int
) -> None:
    built = small("mlp", hidden=hidden, heads=2)
    assert isinstance(built, SharedTrunk)
    assert sum(isinstance(module, nn.Linear) for module in built.trunk.modules()) == shared
