"""Batches: the rule for the last one, and inputs made on the device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ensemble.errors import UsageError
from ensemble.training.rows import DeviceRows, batch_bounds, device_targets, full_batches
from tests.scenarios import blobs, images, line

CPU = torch.device("cpu")


@given(rows=st.integers(2, 400), batch_size=st.integers(2, 64))
def test_batches_cover_all_rows_and_none_has_a_single_one(rows: int, batch_size: int) -> None:
    bounds = batch_bounds(rows, batch_size)
    assert [low for low, _ in bounds] == [0, *(high for _, high in bounds[:-1])]
    assert bounds[-1][1] == rows
    assert all(2 <= high - low <= batch_size + 1 for low, high in bounds)


def test_a_last_row_alone_joins_the_batch_before_it() -> None:
    assert batch_bounds(9, 4) == [(0, 4), (4, 9)]


def test_one_row_cannot_be_trained_on() -> None:
    with pytest.raises(UsageError, match="1 training rows for a member"):
        batch_bounds(1, 4)


def test_full_batches_leave_out_the_tail_but_never_everything() -> None:
    assert [len(b) for b in full_batches(np.arange(10), 4)] == [4, 4]
    assert [len(b) for b in full_batches(np.arange(3), 4)] == [3]


def test_bytes_are_standardized_in_the_batch() -> None:
    data = images()
    data.x.flags.writeable = False  # as it comes out of shared memory
    rows = data.train[:5]
    batch = DeviceRows(data.x, data.spec, CPU, channels_last=True).batch(rows)
    expected = (data.x[rows].astype(np.float64) - data.spec.mean[0]) / data.spec.std[0]
    np.testing.assert_allclose(batch.numpy(), expected, atol=1e-5)
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_bytes_standardized_by_input_position() -> None:
    data = images(side=6)
    mean = data.x.mean(axis=0).ravel()
    spec = data.spec.model_copy(
        update={"standardize": "features", "mean": tuple(mean.tolist()), "std": (2.0,) * len(mean)}
    )
    batch = DeviceRows(data.x, spec, CPU).batch(np.array([3]))
    np.testing.assert_allclose(batch.numpy().ravel(), (data.x[3].ravel() - mean) / 2, atol=1e-5)


def test_numbers_come_as_they_are() -> None:
    data = blobs()
    batch = DeviceRows(data.x, data.spec, CPU).batch(np.array([2, 0]))
    np.testing.assert_array_equal(batch.numpy(), data.x[[2, 0]])


def test_regression_targets_are_standardized() -> None:
    data = line()
    targets = device_targets(data.y, data.spec, CPU).numpy()
    assert targets[data.train].mean() == pytest.approx(0, abs=1e-6)
    assert targets[data.train].std() == pytest.approx(1, abs=1e-6)
