"""Weight matching: reorder the units of one network so that its parameters come close to another's.

Coordinate ascent over the permutations of a network, each step a linear assignment (Ainsworth et al. 2022,
Git Re-Basin, arXiv 2209.04836, algorithm 1; several networks: algorithm 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ensemble.errors import UsageError
from ensemble.merging.parameters import Weights, check_same, is_averaged

if TYPE_CHECKING:  # the declaration lies beside the networks, which import torch
    from ensemble.nets.permutations import Axis, PermutationSpec

Permutations = dict[str, NDArray[np.int64]]
"""For each permutation of a network: unit i of the result is unit ``permutation[i]`` of the source."""

PASSES = 100
"""Bound of passes. Each one that changes anything strictly increases the agreement, so few are ever
needed."""


@dataclass(frozen=True)
class Matching:
    """A network brought into another's order.

    Attributes:
        permutations: What was done to its units.
        weights: The network so reordered; it computes what it did before.
        passes: Over all permutations, in which something moved; 0 where the networks agreed already.
    """

    permutations: Permutations
    weights: Weights
    passes: int


def match(target: Weights, source: Weights, spec: PermutationSpec, *, seed: int) -> Matching:
    """Reorder ``source`` so that Σ ⟨target, source⟩ over all learned entries is at a local maximum.

    For one permutation, all others held, the agreement is Σ_i C[i, π(i)] with C[i, j] the inner product of
    all that belongs to unit i of the target and unit j of the source: its incoming weights, bias, batch
    norm's γ and β, and outgoing weights. Running statistics follow the permutation but have no say: their
    scale is that of the data, and they are estimated anew after an average.

    Args:
        target, source: Networks of one architecture.
        spec: Which axes belong together, ``ensemble.nets.permutations.permutations_of(net)``.
        seed: Of the order in which a pass visits the permutations.

    Raises:
        UsageError: networks that differ in keys, shapes or types, or that ``spec`` does not describe.
    """
    check_same(target, source, what="the two networks to be matched")
    permutations, passes = _ascend(
        _learned(target, spec), _learned(source, spec), spec, random=np.random.default_rng(seed)
    )
    return Matching(permutations, apply_permutation(source, spec, permutations), passes)


def match_many(weights: Sequence[Weights], spec: PermutationSpec, *, seed: int) -> list[Weights]:
    """Reorder several networks into one order: align each to the mean of the rest, until none moves.

    Args:
        weights: At least one network, all of one architecture; a single one comes back as it is.
        spec: As for ``match``.
        seed: Of the order of networks in a pass, and of permutations in each matching.

    Raises:
        UsageError: as ``match``.
    """
    aligned = list(weights)
    if len(aligned) < 2:
        return aligned
    for index, other in enumerate(aligned[1:], start=2):
        check_same(aligned[0], other, what=f"networks 1 and {index} to be matched")
    random = np.random.default_rng(seed)
    learned = [_learned(one, spec) for one in aligned]
    sums = {key: np.sum([one[key] for one in learned], axis=0) for key in learned[0]}
    for _ in range(PASSES):
        moved = False
        for index in random.permutation(len(aligned)).tolist():
            own = learned[index]
            rest = {key: (total - own[key]) / (len(aligned) - 1) for key, total in sums.items()}
            permutations, passes = _ascend(rest, own, spec, random=random)
            if passes:
                moved = True
                aligned[index] = apply_permutation(aligned[index], spec, permutations)
                learned[index] = _learned(aligned[index], spec)
                sums = {key: total + learned[index][key] - own[key] for key, total in sums.items()}
        if not moved:
            break
    return aligned


def apply_permutation(weights: Weights, spec: PermutationSpec, permutations: Permutations) -> Weights:
    """The network with its units reordered; it computes the same function.

    Raises:
        UsageError: an entry that ``spec`` does not describe.
    """
    _check_described(weights, spec)
    return {key: _permute(value, spec.axes[key], permutations) for key, value in weights.items()}


def _ascend(
    fixed: Weights, moving: Weights, spec: PermutationSpec, *, random: np.random.Generator
) -> tuple[Permutations, int]:
    """The permutations of ``moving`` at a local maximum, and the passes in which something moved.

    The ascent starts from the order as it is or from the anchored one, whichever agrees more.
    """
    names = sorted(spec.sizes)
    permutations = {name: np.arange(spec.sizes[name]) for name in names}
    anchored, passes = _anchored(fixed, moving, spec), 0
    if _is_more(_agreement(fixed, moving, spec, anchored), _agreement(fixed, moving, spec, permutations)):
        permutations, passes = anchored, 1
    while passes < PASSES:
        moved = False
        for name in random.permutation(names).tolist():
            gains = _gains(fixed, moving, spec, permutations, name)
            rows, best = linear_sum_assignment(gains, maximize=True)
            if _is_more(gains[rows, best].sum(), gains[rows, permutations[name]].sum()):
                permutations[name], moved = best, True
        if not moved:
            break
        passes += 1
    return permutations, passes


def _anchored(fixed: Weights, moving: Weights, spec: PermutationSpec) -> Permutations:
    """One pass that looks only at what is already in order, starting from inputs and outputs, whose order is fixed.

    Next is always the permutation of which most is known. For a permuted copy, what is known of unit i of the one is
    the same as of unit π(i) of the other, and Σ ⟨g_i, g_σ(i)⟩ ≤ Σ ‖g_i‖² with equality at σ = π alone (no two units
    alike): so a copy is found exactly, whatever its widths, where a start from unordered neighbours needs luck.
    """
    settled: Permutations = {}
    while len(settled) < len(spec.sizes):
        name = max(
            (name for name in sorted(spec.sizes) if name not in settled),
            key=lambda name: (
                sum(fixed[key].size for key, _ in _known(fixed, spec, settled, name)) / spec.sizes[name]
            ),
        )
        _, settled[name] = linear_sum_assignment(_gains(fixed, moving, spec, settled, name), maximize=True)
    return settled


def _gains(
    fixed: Weights, moving: Weights, spec: PermutationSpec, permutations: Permutations, name: str
) -> NDArray[np.float64]:
    """C[i, j]: the inner product of unit i of ``fixed`` and unit j of ``moving``, all other units in their order."""
    size = spec.sizes[name]
    total = np.zeros((size, size))
    for key, position in _known(fixed, spec, permutations, name):
        axes = spec.axes[key]
        source = _permute(moving[key], (*axes[:position], None, *axes[position + 1 :]), permutations)
        total += _units(fixed[key], position, size) @ _units(source, position, size).T
    return total


def _known(
    weights: Weights, spec: PermutationSpec, permutations: Permutations, name: str
) -> list[tuple[str, int]]:
    """The entries and axes on which ``name`` lies, as far as the order of all their other axes is known."""
    return [
        (key, position)
        for key in weights
        for position, axis in enumerate(spec.axes[key])
        if axis is not None
        and axis.permutation == name
        and all(
            other is None or other.permutation in permutations
            for place, other in enumerate(spec.axes[key])
            if place != position
        )
    ]


def _agreement(fixed: Weights, moving: Weights, spec: PermutationSpec, permutations: Permutations) -> float:
    return sum(
        float(np.vdot(value, _permute(moving[key], spec.axes[key], permutations)))
        for key, value in fixed.items()
    )


def _is_more(a: float, b: float) -> bool:
    """Whether ``a`` exceeds ``b`` beyond rounding: a tie is no reason to move, or the ascent might never end."""
    return a > b + 1e-12 * abs(b)


def _units(value: NDArray[Any], position: int, size: int) -> NDArray[Any]:
    """``(size, rest)``: a row holds all that one unit has on the axis ``position``, its block of places
    included."""
    return np.moveaxis(value, position, 0).reshape(size, -1)


def _permute(value: NDArray[Any], axes: tuple[Axis | None, ...], permutations: Permutations) -> NDArray[Any]:
    for position, axis in enumerate(axes):
        if axis is not None:
            order = permutations[axis.permutation]
            places = (order[:, None] * axis.block + np.arange(axis.block)).ravel()
            value = np.take(value, places, axis=position)
    return value


def _learned(weights: Weights, spec: PermutationSpec) -> Weights:
    """The entries that say how well two orders agree, in float64."""
    _check_described(weights, spec)
    return {
        key: value.astype(np.float64)
        for key, value in weights.items()
        if key not in spec.buffers and is_averaged(value) and any(axis is not None for axis in spec.axes[key])
    }


def _check_described(weights: Weights, spec: PermutationSpec) -> None:
    unknown = sorted(set(weights) ^ set(spec.axes))
    if unknown:
        raise UsageError(
            f"the network and its permutations differ in {', '.join(unknown)}; every entry needs its axes"
        )
