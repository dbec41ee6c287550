from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ensemble.config import NetConfig
from ensemble.errors import UsageError
from ensemble.nets.build import build_net, check_net, parameter_count
from ensemble.nets.dropout import Dropout
from tests.nets.scenarios import BATCH_NORMS, IMAGES, KINDS, OUTPUTS, SHAPE, rows, small, weights_of

USERS = "tests.nets.users"


@pytest.mark.parametrize("batch_norm", BATCH_NORMS)
@pytest.mark.parametrize(
    ("net", "shape"),
    [(net, shape) for net in IMAGES for shape in [(1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 17, 23)]]
    + [("mlp", shape) for shape in [(4,), (1, 8, 8), (3, 32, 32)]],
)
def test_rows_become_outputs(net: str, shape: tuple[int, ...], batch_norm: str) -> None:
    built = small(net, batch_norm, shape=shape, dropout=0.1)
    assert built(rows(3, shape=shape)).shape == (3, OUTPUTS)
    check_net(built, shape=shape, outputs=OUTPUTS, heads=1, name=net)


@pytest.mark.parametrize("net", ["mlp", "lenet", "convnet", "resnet"])
def test_default_sizes(net: str) -> None:
    built = build_net(NetConfig(net=net, dropout=0.0), shape=(1, 28, 28), outputs=10, seed=0)
    check_net(built, shape=(1, 28, 28), outputs=10, heads=1, name=net)


def test_lenet_has_the_parameters_of_the_known_figures() -> None:
    built = build_net(
        NetConfig(net="lenet", batch_norm="none", dropout=0.0), shape=(1, 28, 28), outputs=10, seed=0
    )
    convolutions = 25 * 6 + 6 + 25 * 6 * 16 + 16 + 25 * 16 * 120 + 120
    assert parameter_count(built) == convolutions + 7 * 7 * 120 * 84 + 84 + 84 * 10 + 10


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**63 - 1))
@pytest.mark.parametrize("net", ["mlp", "convnet"])
def test_the_seed_decides_and_the_callers_random_state_neither_matters_nor_changes(
    net: str, seed: int
) -> None:
    torch.manual_seed(1)
    first = weights_of(small(net, seed=seed))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = weights_of(small(net, seed=seed))
    assert torch.equal(state, torch.get_rng_state())
    assert all((first[key] == second[key]).all() for key in first)
    other = weights_of(small(net, seed=seed ^ 1))
    assert any((first[key] != other[key]).any() for key in first)


@pytest.mark.parametrize(("net", "batch_norm"), KINDS)
def test_a_layer_before_batch_norm_has_no_bias(net: str, batch_norm: str) -> None:
    layers = [
        (name, module)
        for name, module in small(net, batch_norm).named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    *hidden, (_, output) = layers
    assert output.bias is not None
    assert {layer.bias is not None for _, layer in hidden} == {batch_norm != "before"}


@pytest.mark.parametrize("net", IMAGES)
def test_rows_that_are_no_images_are_refused(net: str) -> None:
    with pytest.raises(UsageError, match=rf"{net}.*\(13,\).*--net mlp"):
        small(net, shape=(13,))


@pytest.mark.parametrize(("net", "side"), [("lenet", 4), ("convnet", 4), ("resnet", 2)])
def test_the_smallest_image_works_and_a_smaller_one_is_refused(net: str, side: int) -> None:
    check_net(small(net, shape=(1, side, 9)), shape=(1, side, 9), outputs=OUTPUTS, heads=1, name=net)
    with pytest.raises(UsageError, match=rf"at least {side}x{side}.*\(1, 9, {side - 1}\)"):
        small(net, shape=(1, 9, side - 1))


@pytest.mark.parametrize("net", ["convnet", "resnet"])
def test_no_stage_at_all_is_refused(net: str) -> None:
    with pytest.raises(UsageError, match="hidden is empty"):
        small(net, hidden=())


def test_a_lenet_of_other_than_four_numbers_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'6,16'.*four numbers"):
        small("lenet", hidden=(6, 16))


def test_an_mlp_without_hidden_layers_is_linear() -> None:
    assert parameter_count(small("mlp", hidden=(), shape=(4,))) == 4 * OUTPUTS + OUTPUTS


def test_a_users_network_keeps_its_own_start_and_gets_our_dropout() -> None:
    config = NetConfig(net=f"{USERS}:good", dropout=0.0)
    net = build_net(config, shape=SHAPE, outputs=OUTPUTS, seed=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        own = nn.Linear(144, 8)
    assert torch.equal(net[1].weight, own.weight)
    assert isinstance(net[2], Dropout)
    assert net[2].p == 0.25
    assert net[3][1] is net[2]
    assert isinstance(net[4], nn.Dropout1d)


def test_a_users_network_that_is_one_dropout_is_replaced_too() -> None:
    net = build_net(NetConfig(net=f"{USERS}:bare_dropout"), shape=SHAPE, outputs=OUTPUTS, seed=0)
    assert isinstance(net, Dropout)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"net": f"{USERS}:raises"}, "KeyError: 'no such architecture'"),
        ({"net": f"{USERS}:not_a_module"}, "returned a str"),
        ({"net": f"{USERS}:lazy"}, "1.weight"),
        ({"net": f"{USERS}:missing"}, "no function 'missing'"),
        ({"net": f"{USERS}:good", "heads": 2}, "heads is 2.*users:good"),
        ({"net": f"{USERS}:good", "dropout": 0.5}, "dropout describes the built-in"),
        ({"net": f"{USERS}:good", "hidden": (3,), "batch_norm": "none"}, "hidden, batch-norm describes"),
    ],
)
def test_a_users_function_that_cannot_be_used_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_net(NetConfig(**options), shape=SHAPE, outputs=OUTPUTS, seed=0)


class Returns(nn.Module):
    """Answers as ``answer`` says, and counts its calls in a buffer that it puts anew."""

    calls: Tensor

    def __init__(self, answer: object = None) -> None:
        super().__init__()
        self.layer = nn.Linear(4, OUTPUTS)
        self.norm = nn.BatchNorm1d(4)
        self.answer = answer
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> object:
        self.calls = self.calls + torch.rand(())
        output = self.layer(self.norm(x))
        return self.answer(output) if callable(self.answer) else output


def explode(output: Tensor) -> Tensor:
    raise IndexError("index 7 is out of range")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda y: y[:, :3], r"net mine.*\(4,\).*shape \(2, 3\), but \(2, 5\)"),
        (lambda y: (y, y), "returned a tuple"),
        (lambda y: y.argmax(1, keepdim=True).expand(2, OUTPUTS), "torch.int64"),
        (lambda y: y / 0, "not finite"),
        (explode, "evaluation mode: IndexError: index 7 is out of range"),
    ],
)
def test_a_network_that_answers_wrongly_is_refused(answer: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_net(Returns(answer), shape=(4,), outputs=OUTPUTS, heads=1, name="mine")


def test_a_network_that_fails_in_training_mode_only_is_refused() -> None:
    class Fails(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return explode(x) if self.training else super().forward(x)

    with pytest.raises(UsageError, match="training mode: IndexError"):
        check_net(Fails(4, OUTPUTS), shape=(4,), outputs=OUTPUTS, heads=1, name="mine")


def test_a_network_of_one_head_is_refused_where_two_are_needed() -> None:
    with pytest.raises(UsageError, match=r"\(2, 5\), but \(2, 2, 5\)"):
        check_net(Returns(), shape=(4,), outputs=OUTPUTS, heads=2, name="mine")


def test_a_network_without_parameters_is_refused() -> None:
    with pytest.raises(UsageError, match="no parameters"):
        check_net(nn.Flatten(), shape=(OUTPUTS,), outputs=OUTPUTS, heads=1, name="mine")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("answer", [None, explode])
def test_checking_leaves_no_trace(answer: object, training: bool) -> None:
    net = Returns(answer).train(training)
    net.norm.train(not training)
    state, before = torch.get_rng_state(), weights_of(net)
    try:
        check_net(net, shape=(4,), outputs=OUTPUTS, heads=1, name="mine")
    except UsageError:
        assert answer is explode
    assert torch.equal(state, torch.get_rng_state())
    assert all((before[key] == value).all() for key, value in weights_of(net).items())
    assert net.training == training
    assert net.norm.training != training
    assert net.layer.weight.grad is None
