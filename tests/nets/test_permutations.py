from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ensemble.errors import UsageError
from ensemble.merging.matching import apply_permutation
from ensemble.nets.permutations import Axis, PermutationSpec, chain_permutations, permutations_of
from tests.nets.scenarios import KINDS, rows, small, unsettled, weights_of, with_weights


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000))
@pytest.mark.parametrize(("net", "batch_norm"), KINDS)
def test_any_permutation_leaves_the_outputs(net: str, batch_norm: str, seed: int) -> None:
    built = unsettled(small(net, batch_norm, seed=seed, bias_init=0.1), seed=seed).eval()
    random, spec, weights = np.random.default_rng(seed), permutations_of(built), weights_of(built)
    permuted = apply_permutation(
        weights, spec, {name: random.permutation(size) for name, size in spec.sizes.items()}
    )
    assert any((permuted[key] != weights[key]).any() for key in weights)
    with torch.no_grad():
        expected = built(rows())
        torch.testing.assert_close(with_weights(built, permuted)(rows()), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("net", "batch_norm"), KINDS)
def test_every_entry_has_its_axes_and_every_size_is_right(net: str, batch_norm: str) -> None:
    built = small(net, batch_norm)
    spec = permutations_of(built)
    for key, value in built.state_dict().items():
        assert len(spec.axes[key]) == value.ndim
        for axis, size in zip(spec.axes[key], value.shape, strict=True):
            assert axis is None or spec.sizes[axis.permutation] * axis.block == size
    assert spec.buffers == {name for name, _ in built.named_buffers()}
    assert {axis.permutation for axes in spec.axes.values() for axis in axes if axis} == set(spec.sizes)


def test_inputs_and_outputs_keep_their_order_and_a_flattened_channel_is_a_block() -> None:
    spec = permutations_of(small("convnet", "none"))
    assert spec.axes["trunk.0.0.conv.weight"][1] is None
    assert spec.axes["head.output.bias"] == (None,)
    assert spec.axes["head.hidden.linear.weight"] == (
        Axis("head.hidden.linear"),
        Axis("trunk.1.1.conv", block=9),
    )


def test_all_that_is_added_to_one_stream_shares_a_permutation() -> None:
    axes = permutations_of(small("resnet", "none")).axes
    assert axes["trunk.0.weight"][0] == axes["trunk.1.conv2.weight"][0] == axes["trunk.2.conv2.weight"][0]
    assert axes["head.block.conv2.weight"][0] == axes["head.block.shortcut.weight"][0]


def test_a_network_that_declares_nothing_is_named() -> None:
    with pytest.raises(UsageError, match="network Bilinear cannot be matched"):
        permutations_of(nn.Bilinear(2, 2, 2))


def test_heads_are_refused() -> None:
    with pytest.raises(UsageError, match="network of 2 heads cannot be matched"):
        permutations_of(small("mlp", heads=2))


def test_a_declaration_that_misses_an_entry_is_refused() -> None:
    class Own(nn.Linear):
        def permutation_spec(self) -> PermutationSpec:
            return PermutationSpec(sizes={}, axes={"weight": (None, None)})

    with pytest.raises(UsageError, match="Own and its state_dict differ in bias"):
        permutations_of(Own(2, 2))


def test_a_layer_of_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="head is a Bilinear"):
        chain_permutations({"head": nn.Bilinear(2, 2, 2)})
