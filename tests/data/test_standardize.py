"""Standardization against NumPy's own figures, and the cases where it must stay finite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ensemble.data import checks
from ensemble.data.dataset import DataSpec
from ensemble.data.standardize import apply, choose_mode, fit, measure, standardize_array
from ensemble.errors import DataError


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(1, 5)), elements=st.floats(-1e6, 1e6))
)
def test_chunked_statistics_equal_those_of_the_whole(x: np.ndarray) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "CHUNK", 7)
        scales = measure(x, channels=False)
    assert np.allclose(scales.mean, x.mean(axis=0), rtol=1e-12, atol=1e-9)
    assert np.allclose(scales.std, x.std(axis=0), rtol=1e-9, atol=1e-6)
    assert np.array_equal(scales.low, x.min(axis=0))
    assert np.array_equal(scales.high, x.max(axis=0))


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(2, 30), st.integers(1, 4)), elements=st.floats(-1e30, 1e30)),
    st.sampled_from(["none", "features"]),
)
def test_standardized_rows_are_finite(x: np.ndarray, mode: str) -> None:
    mean, std = fit(x, mode)  # type: ignore[arg-type]
    assert np.isfinite(apply(x, mode=mode, mean=mean, std=std)).all()  # type: ignore[arg-type]


def test_training_rows_get_mean_0_and_std_1() -> None:
    x = np.random.default_rng(0).normal(5, 3, size=(200, 3)) * [1, 1e6, 1e-6] + [0, 1e9, 0]
    mean, std = fit(x, "features")
    z = apply(x, mode="features", mean=mean, std=std)
    assert z.dtype == np.float32
    assert np.allclose(z.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(z.std(axis=0), 1, atol=1e-5)


def test_only_the_given_rows_count() -> None:
    x = np.array([[1.0], [3.0], [1000.0]])
    assert fit(x, "features", rows=np.array([0, 1])) == ((2.0,), (1.0,))


def test_constant_column_becomes_zero() -> None:
    x = np.full((1000, 1), 0.1)
    mean, std = fit(x, "features")
    assert (mean, std) == ((0.1,), (1.0,))
    assert not apply(x, mode="features", mean=mean, std=std).any()


def test_pixels_are_scaled_by_channel() -> None:
    x = np.zeros((4, 3, 2, 2), dtype=np.uint8)
    x[:, 1] = 10
    x[:2, 2] = 20
    mean, std = fit(x, "pixels")
    assert mean == (0.0, 10.0, 10.0)
    assert std == (1.0, 1.0, 10.0)
    assert apply(x, mode="pixels", mean=mean, std=std)[0, 2].tolist() == [[1, 1], [1, 1]]


def test_features_of_images_are_scaled_by_position() -> None:
    x = np.arange(2 * 12, dtype=np.uint8).reshape(2, 3, 2, 2)
    mean, std = fit(x, "features")
    assert mean == tuple(float(value) for value in range(6, 18))
    assert std == (6.0,) * 12
    assert np.all(apply(x, mode="features", mean=mean, std=std)[1] == 1)


def test_none_leaves_values_as_they_are() -> None:
    x = np.arange(6.0).reshape(2, 3)
    assert fit(x, "none") == ((0.0,), (1.0,))
    assert np.array_equal(apply(x, mode="none", mean=(0.0,), std=(1.0,)), x)


def test_auto_follows_the_shape() -> None:
    assert choose_mode("auto", (3,)) == "features"
    assert choose_mode("auto", (1, 2, 2)) == "pixels"
    assert choose_mode("none", (3,)) == "none"
    with pytest.raises(DataError, match=r"pixels needs images"):
        choose_mode("pixels", (3,))


def test_standardize_array_takes_the_statistics_of_the_run() -> None:
    spec = DataSpec(
        source="x", task="regression", shape=(2,), standardize="features", mean=(1, 2), std=(2, 4), sha256=""
    )
    assert standardize_array(np.array([[3, 10]]), spec).tolist() == [[1, 2]]


def test_value_beyond_float32_is_refused() -> None:
    with pytest.raises(DataError, match=r"row 1, position \(0,\).*1e\+30"):
        apply(np.array([[0.0], [1e30]]), mode="features", mean=(0.0,), std=(1e-20,))
