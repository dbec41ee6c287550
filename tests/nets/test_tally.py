"""Sums over predictors say what the arrays of everything that was said would have said."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from ensemble.combining.predictions import average, regression_mixture, vote
from ensemble.evaluation.uncertainty import classification_uncertainty, regression_uncertainty
from ensemble.nets.tally import ClassTally, ValueTally

CPU = torch.device("cpu")


def tallied(
    logits: torch.Tensor, counts: list[int], *, groups: int = 1, parts: int = 1, by_vote: bool = True
) -> ClassTally:
    """``(predictors, rows, classes)`` added some predictors and some rows at a time."""
    tally = ClassTally(logits.shape[1], logits.shape[2], device=CPU, by_vote=by_vote)
    weights = torch.tensor(counts, dtype=torch.float64)
    bounds = np.linspace(0, logits.shape[1], parts + 1).astype(int)
    for start, stop in pairwise(bounds):
        for said, weight in zip(logits.tensor_split(groups), weights.tensor_split(groups), strict=True):
            if len(said):
                tally.add(said[:, start:stop], weight, rows=slice(start, stop))
    return tally


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 7),
    st.integers(1, 9),
    st.integers(2, 5),
    st.sampled_from([0.01, 1.0, 30.0, 1000.0]),
    st.integers(1, 3),
)
def test_classes_are_combined_as_arrays_are(
    seed: int, predictors: int, rows: int, classes: int, scale: float, pieces: int
) -> None:
    rng = np.random.default_rng(seed)
    # Rounded, so that predictors agree and votes are tied.
    logits = np.round(rng.normal(size=(predictors, rows, classes)), 1).astype(np.float32) * np.float32(scale)
    counts = rng.integers(1, 4, size=predictors).tolist()
    tally = tallied(torch.from_numpy(logits), counts, groups=pieces, parts=pieces)
    p = np.repeat(softmax(logits.astype(np.float64), axis=2), counts, axis=0)
    uncertainty, votes = classification_uncertainty(p), vote(p)
    assert uncertainty.total is not None
    assert uncertainty.aleatoric is not None
    np.testing.assert_allclose(tally.mean, average(p), atol=1e-12)
    np.testing.assert_allclose(tally.total, uncertainty.total, atol=1e-10)
    np.testing.assert_allclose(tally.aleatoric, uncertainty.aleatoric, atol=1e-10)
    np.testing.assert_allclose(tally.shares, votes.shares, atol=1e-12)
    gap = np.sort(average(p), axis=1)
    sure = (votes.shares == votes.shares.max(axis=1, keepdims=True)).sum(axis=1) == 1
    sure |= gap[:, -1] - gap[:, -2] > 1e-9
    np.testing.assert_array_equal(tally.elected.numpy()[sure], votes.labels[sure])


def test_small_entropies_keep_their_digits() -> None:
    """In float32 or as ln s − Σ p z from logits as they are, a sure predictor's entropy is mostly rounding."""
    z = torch.tensor([[[100.0, 85.0, 84.0]]])
    exact = torch.special.entr(z[0, 0].double().softmax(dim=0)).sum()
    tally = tallied(z, [1])
    torch.testing.assert_close(tally.aleatoric[0], exact, rtol=1e-9, atol=0)
    torch.testing.assert_close(tally.total[0], exact, rtol=1e-9, atol=0)


def test_predictors_that_agree_leave_nothing_epistemic() -> None:
    z = torch.randn(1, 50, 10, generator=torch.Generator().manual_seed(0)).expand(100, 50, 10)
    tally = tallied(z, [1] * 100)
    assert float((tally.total - tally.aleatoric).abs().max()) < 1e-14


def test_a_class_that_cannot_be_is_no_reason_for_nan() -> None:
    """Fails without the bound: 0 · −∞."""
    tally = tallied(torch.tensor([[[0.0, 0.0, -torch.inf]], [[0.0, -torch.inf, -1e30]]]), [1, 1])
    torch.testing.assert_close(tally.mean, torch.tensor([[0.75, 0.25, 0.0]], dtype=torch.float64))
    assert float(tally.aleatoric) == pytest.approx(np.log(2) / 2)


def test_what_is_added_is_left_alone_whatever_its_layout() -> None:
    z = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    other = z.transpose(1, 2).contiguous().transpose(1, 2)
    before = z.clone()
    torch.testing.assert_close(tallied(z, [1, 2, 3]).mean, tallied(other, [1, 2, 3]).mean)
    assert torch.equal(z, before)
    assert torch.equal(other, before)


@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.booleans(), st.integers(1, 3))
def test_values_are_combined_as_arrays_are(seed: int, predictors: int, stated: bool, groups: int) -> None:
    """Means near a million with a spread of one: sums of squares would leave nothing of it."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(1e6, 1, size=(predictors, 6, 1))
    values = np.concatenate([mean, rng.random(mean.shape)], axis=2) if stated else mean
    counts = rng.integers(1, 4, size=predictors)
    tally = ValueTally(6, device=CPU)
    weights = torch.from_numpy(counts.astype(np.float64))
    for said, weight in zip(
        torch.from_numpy(values).tensor_split(groups), weights.tensor_split(groups), strict=True
    ):
        if len(said):
            tally.add(said[:, :2], weight, rows=slice(0, 2))
            tally.add(said[:, 2:], weight, rows=slice(2, 6))
    repeated = np.repeat(values, counts, axis=0)
    expected, mixture = regression_uncertainty(repeated), regression_mixture(repeated)
    np.testing.assert_allclose(tally.mean, mixture[:, 0], rtol=1e-14)
    np.testing.assert_allclose(tally.epistemic, expected.epistemic, atol=1e-9)
    if not stated:
        assert tally.aleatoric is None
        return
    assert tally.aleatoric is not None
    assert expected.aleatoric is not None
    np.testing.assert_allclose(tally.aleatoric, expected.aleatoric, rtol=1e-12)
    np.testing.assert_allclose(tally.aleatoric + tally.epistemic, mixture[:, 1], rtol=1e-8)
