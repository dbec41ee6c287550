from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.errors import UsageError
from ensemble.merging.matching import Permutations, apply_permutation, match, match_many
from ensemble.merging.parameters import Weights, average
from ensemble.nets.permutations import Axis, PermutationSpec, permutations_of
from tests.nets.scenarios import KINDS, rows, small, unsettled, weights_of, with_weights


def scramble(spec: PermutationSpec, random: np.random.Generator) -> Permutations:
    return {name: random.permutation(size) for name, size in spec.sizes.items()}


def same(a: Weights, b: Weights) -> bool:
    return all(np.array_equal(a[key], b[key]) for key in a)


def agreement(a: Weights, b: Weights, spec: PermutationSpec) -> float:
    return float(sum(np.vdot(a[key].astype(float), b[key]) for key in a if key not in spec.buffers))


def distance(a: Weights, b: Weights, spec: PermutationSpec) -> float:
    return float(sum(np.square(a[key].astype(float) - b[key]).sum() for key in a if key not in spec.buffers))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
@pytest.mark.parametrize(("net", "batch_norm"), KINDS)
def test_a_permuted_copy_matches_back_exactly(net: str, batch_norm: str, seed: int) -> None:
    built = small(net, batch_norm, seed=seed, shape=(1, 16, 16)).eval()
    spec, weights = permutations_of(built), weights_of(built)
    permuted = apply_permutation(weights, spec, scramble(spec, np.random.default_rng(seed)))
    found = match(weights, permuted, spec, seed=seed)
    assert same(found.weights, weights)
    assert found.passes <= 1
    with torch.no_grad():
        x = rows(shape=(1, 16, 16))
        expected = built(x)
        torch.testing.assert_close(with_weights(built, permuted)(x), expected, atol=1e-5, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    depth=st.integers(1, 4),
    batch_norm=st.sampled_from(["none", "before", "after"]),
)
def test_nets_of_up_to_five_layers_match_back_in_at_most_four_passes(
    seed: int, depth: int, batch_norm: str
) -> None:
    built = small("mlp", batch_norm, seed=seed, hidden=(32,) * depth, shape=(64,))
    spec, weights = permutations_of(built), weights_of(built)
    permuted = apply_permutation(weights, spec, scramble(spec, np.random.default_rng(seed)))
    found = match(weights, permuted, spec, seed=seed + 1)
    assert same(found.weights, weights)
    assert found.passes <= 4


def test_what_was_done_is_what_is_handed_back() -> None:
    a, b = (weights_of(unsettled(small("resnet", seed=seed), seed=seed)) for seed in (1, 2))
    spec = permutations_of(small("resnet"))
    found = match(a, b, spec, seed=0)
    assert same(found.weights, apply_permutation(b, spec, found.permutations))
    assert agreement(a, found.weights, spec) > agreement(a, b, spec)
    assert distance(a, found.weights, spec) < distance(a, b, spec)
    assert match(a, found.weights, spec, seed=0).passes == 0
    assert {value.dtype for value in found.weights.values()} == {value.dtype for value in b.values()}


def test_one_hidden_layer_is_matched_as_well_as_any_permutation_could() -> None:
    a, b = (
        weights_of(small("mlp", "none", seed=seed, hidden=(5,), shape=(3,), bias_init=0.1)) for seed in (1, 2)
    )
    spec = permutations_of(small("mlp", "none", hidden=(5,), shape=(3,)))
    (name,) = spec.sizes
    best = max(
        agreement(a, apply_permutation(b, spec, {name: np.array(order)}), spec)
        for order in itertools.permutations(range(5))
    )
    assert agreement(a, match(a, b, spec, seed=0).weights, spec) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("entry", ["linear.bias", "norm.weight", "norm.bias"])
def test_biases_and_batch_norm_take_part_but_running_statistics_do_not(entry: str) -> None:
    built = small("mlp", "after", hidden=(6,), shape=(3,))
    spec, weights = permutations_of(built), weights_of(built)
    for key in weights:
        weights[key] = np.zeros_like(weights[key])
    (key,) = [key for key in weights if key.startswith("trunk") and key.endswith(entry)]
    order = np.array([3, 1, 5, 0, 2, 4])
    told = {**weights, key: np.arange(6, dtype=np.float32)}
    found = match(told, {**told, key: told[key][order]}, spec, seed=0)
    assert np.array_equal(found.weights[key], told[key])
    (running,) = [key for key in weights if key.endswith("running_mean")]
    silent = {**weights, running: np.arange(6, dtype=np.float32)}
    assert match(silent, {**silent, running: silent[running][order]}, spec, seed=0).passes == 0


def test_a_flattened_channel_moves_with_all_its_places() -> None:
    spec = PermutationSpec(sizes={"p": 2}, axes={"w": (None, Axis("p", block=3))})
    weights = {"w": np.arange(6.0).reshape(1, 6)}
    assert apply_permutation(weights, spec, {"p": np.array([1, 0])})["w"].tolist() == [[3, 4, 5, 0, 1, 2]]


def test_the_seed_decides() -> None:
    a, b = (weights_of(small("mlp", seed=seed)) for seed in (1, 2))
    spec = permutations_of(small("mlp"))
    assert same(match(a, b, spec, seed=4).weights, match(a, b, spec, seed=4).weights)


def test_a_network_without_hidden_units_has_nothing_to_match() -> None:
    net = small("mlp", hidden=())
    found = match(weights_of(net), weights_of(small("mlp", hidden=(), seed=1)), permutations_of(net), seed=0)
    assert (found.passes, found.permutations) == (0, {})


@pytest.mark.parametrize("net", ["mlp", "convnet"])
def test_several_permuted_copies_come_into_one_order(net: str) -> None:
    built = small(net, shape=(1, 16, 16))
    spec, weights, random = permutations_of(built), weights_of(built), np.random.default_rng(0)
    copies = [apply_permutation(weights, spec, scramble(spec, random)) for _ in range(4)]
    aligned = match_many(copies, spec, seed=0)
    assert all(same(aligned[0], other) for other in aligned[1:])
    assert same(average(aligned), aligned[0])
    assert same(match(weights, aligned[0], spec, seed=0).weights, weights)


def test_several_networks_come_closer_together() -> None:
    nets = [weights_of(small("mlp", seed=seed)) for seed in range(4)]
    spec = permutations_of(small("mlp"))

    def spread(weights: list[Weights]) -> float:
        return sum(distance(a, b, spec) for a, b in itertools.combinations(weights, 2))

    before = [{key: value.copy() for key, value in one.items()} for one in nets]
    aligned = match_many(nets, spec, seed=0)
    assert spread(aligned) < spread(nets)
    assert all(same(a, b) for a, b in zip(nets, before, strict=True))
    assert all(same(a, b) for a, b in zip(aligned, match_many(aligned, spec, seed=7), strict=True))
    for own, result in zip(nets, aligned, strict=True):
        assert same(match(own, result, spec, seed=0).weights, own)


def test_networks_that_lie_close_together_stay_in_their_order() -> None:
    weights, random = weights_of(small("convnet")), np.random.default_rng(0)
    near = {key: (v + 0.01 * random.standard_normal(v.shape)).astype(v.dtype) for key, v in weights.items()}
    assert match(weights, near, permutations_of(small("convnet")), seed=0).passes == 0


def test_one_network_or_none_stays_as_it_is() -> None:
    weights, spec = weights_of(small("mlp")), permutations_of(small("mlp"))
    assert match_many([], spec, seed=0) == []
    (alone,) = match_many([weights], spec, seed=0)
    assert same(alone, weights)


def test_networks_that_differ_are_refused() -> None:
    spec, a, b = (
        permutations_of(small("mlp")),
        weights_of(small("mlp")),
        weights_of(small("mlp", hidden=(12, 11))),
    )
    with pytest.raises(UsageError, match="two networks to be matched differ"):
        match(a, b, spec, seed=0)
    with pytest.raises(UsageError, match="networks 1 and 3 to be matched differ"):
        match_many([a, a, b], spec, seed=0)


def test_an_entry_that_the_declaration_misses_is_named() -> None:
    weights, spec = weights_of(small("mlp")), permutations_of(small("mlp"))
    with pytest.raises(UsageError, match="differ in extra"):
        match({**weights, "extra": np.zeros(1)}, {**weights, "extra": np.zeros(1)}, spec, seed=0)
    with pytest.raises(UsageError, match="differ in extra"):
        apply_permutation({**weights, "extra": np.zeros(1)}, spec, {})
