"""Networks as one: the stack says what each says alone, and who cannot be stacked is told why."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ensemble.config import NetConfig
from ensemble.nets.build import build_net
from ensemble.nets.dropout import Dropout, draw_mask
from ensemble.nets.stacking import NetStack, why_not_stacked

SHAPES = {"mlp": (12,), "lenet": (1, 16, 16), "convnet": (1, 16, 16), "resnet": (1, 16, 16)}


def nets(name: str, count: int = 3, **options: object) -> list[nn.Module]:
    config = NetConfig(net=name, dropout=0.3, **options)  # type: ignore[arg-type]
    return [build_net(config, shape=SHAPES[name], outputs=3, seed=seed) for seed in range(count)]


@pytest.mark.parametrize("batch_norm", ["none", "before", "after"])
@pytest.mark.parametrize("name", SHAPES)
def test_a_stack_says_and_learns_what_its_networks_do_alone(name: str, batch_norm: str) -> None:
    """With dropout masks from the same generators: outputs, gradients and running statistics agree to rounding."""
    members = nets(name, batch_norm=batch_norm)
    stack = NetStack(members, SHAPES[name])
    x = torch.randn(3, 6, *SHAPES[name], generator=torch.Generator().manual_seed(5))
    generators = [torch.Generator().manual_seed(seed) for seed in range(3)]
    outputs = stack.train(x, [mask.draw(6, generators, x.device) for mask in stack.mask_shapes])
    outputs.square().sum().backward()
    for place, net in enumerate(members):
        torch.manual_seed(place)
        alone = net.train()(x[place])
        torch.testing.assert_close(outputs[place], alone, rtol=1e-4, atol=1e-5)
        alone.square().sum().backward()
        for key, parameter in net.named_parameters():
            together = stack.parameters[key].grad
            assert together is not None
            torch.testing.assert_close(together[place], parameter.grad, rtol=1e-2, atol=1e-2)
        for key, value in net.state_dict().items():
            torch.testing.assert_close(stack.state()[key][place], value, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        said = stack.predict(x[0])
        for place, net in enumerate(members):
            torch.testing.assert_close(said[place], net.eval()(x[0]), rtol=1e-4, atol=1e-5)


def test_the_networks_are_left_alone() -> None:
    members = nets("mlp")
    before = copy.deepcopy([net.state_dict() for net in members])
    stack = NetStack(members, (12,))
    stack.train(torch.randn(3, 4, 12), [torch.ones(3, 4, *mask.features) for mask in stack.mask_shapes])
    assert why_not_stacked(members, (12,)) is None
    for net, state in zip(members, before, strict=True):
        assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def test_masks_are_drawn_in_the_order_of_memory() -> None:
    """A channels-last network fills its mask channel by channel of a pixel; drawn otherwise, other units drop."""
    like = torch.empty(4, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    net = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), Dropout(0.5), nn.Flatten(), nn.Linear(75, 2))
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    stack = NetStack([net, copy.deepcopy(net)], (1, 5, 5), channels_last=True)
    (shape,) = stack.mask_shapes
    generators = [torch.Generator().manual_seed(seed) for seed in (7, 8)]
    drawn = shape.draw(4, generators, torch.device("cpu"))
    for place, seed in enumerate((7, 8)):
        alone = draw_mask(like, 0.5, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(drawn[place], alone)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 4)
        self.other = nn.Linear(4, 4)
        self.other.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.one(x))


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.linear(x), training=self.training)


class Branching(Functional):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) if x.sum() > 0 else -self.linear(x)


class Twice(Functional):
    def __init__(self) -> None:
        super().__init__()
        self.drop = Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.linear(self.drop(x)))


class Hidden(Functional):
    """Keeps a number of its own where a stack cannot see it."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = torch.randn(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.offset


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Tied, "shares parameters"),
        (Functional, "draws random numbers by a function"),
        (Branching, "torch.func cannot run it"),
        (Twice, "not passed once each"),
        (Hidden, "says something else"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.AlphaDropout(0.5)), "another module than nn.Dropout"),
    ],
)
def test_who_cannot_be_stacked_is_told_why(make: Callable[[], nn.Module], reason: str) -> None:
    """Each was seen to be stacked, or to end in a traceback of torch's, without its check."""
    torch.manual_seed(0)
    said = why_not_stacked([make(), make()], (4,))
    assert said is not None
    assert reason in said
