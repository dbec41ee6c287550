from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ensemble.errors import UsageError
from ensemble.nets.dropout import (
    Dropout,
    draw_mask,
    dropout_active,
    dropout_layers,
    has_functional_dropout,
    replace_dropout,
)
from tests.nets.scenarios import KINDS, SHAPE, rows, small, weights_of


class FunctionalDropout(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.layer = nn.Linear(4, 3)
        self.dropout = nn.Dropout(0.5)
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        dropped = nn.functional.dropout(self.norm(x), self.p, training=self.training)
        return self.layer(self.dropout(dropped))


@settings(max_examples=30, deadline=None)
@given(p=st.floats(0.01, 0.95))
def test_kept_units_are_scaled_so_that_the_mean_stays(p: float) -> None:
    torch.manual_seed(0)
    dropped = Dropout(p)(torch.ones(40_000))
    kept = dropped[dropped != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)), rtol=1 / (65_536 * (1 - p)), atol=0)
    assert kept.unique().numel() == 1
    assert abs(kept.numel() / 40_000 - (1 - p)) < 0.015


def test_masks_have_a_mean_of_one_and_elements_do_not_know_of_one_another() -> None:
    """Elements of a mask share 64 random bits by fours: neighbours are as independent as any."""
    generator = torch.Generator().manual_seed(0)
    mask = draw_mask(torch.empty(1_000_000), 0.3, generator=generator)
    assert abs(mask.double().mean() - 1) < 4 * (0.3 / 0.7 / 1e6) ** 0.5
    dropped = (mask == 0).double()
    for distance in range(1, 9):
        both = (dropped[:-distance] * dropped[distance:]).mean()
        assert abs(both - 0.09) < 0.0012, distance  # four standard deviations
    for place in range(4):
        assert abs(dropped[place::4].mean() - 0.3) < 0.004


@pytest.mark.parametrize("p", [1e-9, 1 - 1e-9])
def test_the_smallest_and_largest_probabilities_drop_neither_nothing_nor_everything(p: float) -> None:
    """Seen to fail without the bounds in `keep`: all bits drop, or the comparison leaves the range of int16."""
    mask = draw_mask(torch.empty(4_000_000), p, generator=torch.Generator().manual_seed(1))
    assert 0 < int((mask == 0).sum()) < mask.numel()


def test_nothing_is_dropped_in_evaluation_or_at_zero() -> None:
    x = rows()
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_a_probability_outside_the_interval_is_refused(p: float) -> None:
    with pytest.raises(UsageError, match="dropout is"):
        Dropout(p)


def test_a_mask_from_outside_is_used_and_draws_nothing() -> None:
    layer, x = Dropout(0.5), rows()
    layer.mask = draw_mask(x, 0.5, generator=torch.Generator().manual_seed(1))
    state = torch.get_rng_state()
    assert torch.equal(layer(x), x * layer.mask)
    assert torch.equal(state, torch.get_rng_state())


def test_a_mask_drawn_outside_is_the_one_the_layer_would_draw() -> None:
    layer, x = Dropout(0.3), rows()
    torch.manual_seed(5)
    alone = layer(x)
    assert torch.equal(alone, x * draw_mask(x, 0.3, generator=torch.Generator().manual_seed(5)))


def test_a_mask_asks_for_no_gradient() -> None:
    x = rows().requires_grad_()
    assert not draw_mask(x, 0.5).requires_grad
    Dropout(0.5)(x).sum().backward()
    assert set(x.grad.unique().tolist()) == {0.0, 2.0}


def test_masks_in_a_vectorized_stack_are_each_members_own() -> None:
    layer, x = Dropout(0.5), rows(8)

    def member(mask: Tensor) -> Tensor:
        layer.mask = mask
        return layer(x)

    masks = torch.stack([draw_mask(x, 0.5) for _ in range(3)])
    assert torch.equal(torch.func.vmap(member)(masks), x * masks)


@pytest.mark.parametrize(("net", "batch_norm"), KINDS)
def test_monte_carlo_passes_differ_and_change_nothing(net: str, batch_norm: str) -> None:
    built = small(net, batch_norm, dropout=0.5).eval()
    assert dropout_layers(built)
    before, x = weights_of(built), rows()
    calm = built(x)
    with dropout_active(built, True):
        first, second = built(x), built(x)
    assert not torch.equal(first, second)
    assert torch.equal(built(x), calm)
    assert all((before[key] == value).all() for key, value in weights_of(built).items())
    assert not any(module.training for module in built.modules())


@pytest.mark.parametrize("active", [True, False])
def test_torchs_own_dropout_is_switched_too_and_all_is_restored(active: bool) -> None:
    net = nn.Sequential(nn.Dropout2d(0.5), nn.BatchNorm2d(1), Dropout(0.5)).train(not active)
    net[2].active = not active

    def fail() -> None:
        with dropout_active(net, active):
            assert net[0].training is active
            assert net[2].active is active
            assert net[1].training is not active
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert net[0].training is not active
    assert net[2].active is not active


def test_layers_that_drop_are_listed_by_name() -> None:
    net = nn.Sequential(nn.Linear(2, 2), Dropout(0.1), nn.Sequential(nn.Dropout2d(0.1), nn.AlphaDropout(0.1)))
    assert dropout_layers(net) == ["1", "2.0", "2.1"]


def test_a_total_dropout_is_left_to_its_author() -> None:
    assert isinstance(replace_dropout(nn.Sequential(nn.Dropout(1.0)))[0], nn.Dropout)


def test_functional_dropout_is_told_from_modules_without_a_trace() -> None:
    hidden, plain = FunctionalDropout(0.5), FunctionalDropout(0.0)
    for net, expected in ((hidden, True), (plain, False)):
        before, state = weights_of(net), torch.get_rng_state()
        assert has_functional_dropout(net, (4,)) is expected
        assert torch.equal(state, torch.get_rng_state())
        assert all((before[key] == value).all() for key, value in weights_of(net).items())


@pytest.mark.parametrize(("net", "batch_norm"), KINDS)
def test_our_networks_have_no_functional_dropout(net: str, batch_norm: str) -> None:
    assert not has_functional_dropout(small(net, batch_norm, dropout=0.5), SHAPE)
