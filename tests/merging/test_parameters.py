from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ensemble.errors import UsageError
from ensemble.merging.parameters import Weights, average, differences, interpolate

finite = st.floats(-(2.0**100), 2.0**100, width=32)
arrays = npst.arrays(np.float32, (3,), elements=finite)


def network(weight: object, *, batches: int = 1) -> Weights:
    return {"layer.weight": np.asarray(weight, np.float32), "norm.batches": np.array(batches, np.int64)}


@settings(deadline=None)
@given(weight=arrays, count=st.integers(1, 40))
def test_the_average_of_identical_networks_is_that_network_bit_for_bit(
    weight: np.ndarray, count: int
) -> None:
    averaged = average(network(weight) for _ in range(count))
    assert averaged["layer.weight"].tobytes() == weight.tobytes()
    assert averaged["layer.weight"].dtype == np.float32


@settings(deadline=None)
@given(weights=st.lists(arrays, min_size=1, max_size=6))
def test_the_average_is_the_mean_in_float64(weights: list[np.ndarray]) -> None:
    averaged = average(map(network, weights))["layer.weight"]
    expected = np.mean(np.array(weights, np.float64), axis=0)
    np.testing.assert_allclose(
        averaged, expected.astype(np.float32), rtol=1e-6, atol=1e-30 + 1e-9 * np.abs(weights).max()
    )


def test_sums_run_in_float64() -> None:
    averaged = average([network([2**24]), *[network([1.0])] * 3])["layer.weight"]
    assert averaged == np.float32((2**24 + 3) / 4)


def test_half_precision_does_not_overflow_in_the_sum() -> None:
    assert average([{"w": np.full(2, 6e4, np.float16)}] * 3)["w"].tolist() == [6e4, 6e4]


def test_counters_are_the_first_networks_and_inputs_stay() -> None:
    first, second = network([1, 2], batches=5), network([3, 4], batches=9)
    averaged = average([first, second])
    assert averaged["norm.batches"] == 5
    assert averaged["norm.batches"].dtype == np.int64
    averaged["norm.batches"][...] = 0
    averaged["layer.weight"][...] = 0
    assert first["norm.batches"] == 5
    assert first["layer.weight"].tolist() == [1, 2]


def test_the_order_of_keys_does_not_matter() -> None:
    first = network([1, 2])
    second = dict(reversed(network([3, 4]).items()))
    assert differences(first, second) == []
    assert average([first, second])["layer.weight"].tolist() == [2, 3]


def test_networks_are_taken_one_at_a_time() -> None:
    alive: list[Weights] = []

    def networks() -> object:
        for value in range(3):
            alive[:] = [network([value])]
            yield alive[0]
            alive[0]["layer.weight"][...] = np.nan  # whoever kept it without copying would see this

    assert average(networks())["layer.weight"] == 1


def test_differences_are_said_plainly() -> None:
    a = {
        "only a": np.zeros(1),
        "shape": np.zeros((2, 3)),
        "type": np.zeros(2, np.float32),
        "same": np.zeros(1),
    }
    b = {
        "only b": np.zeros(1),
        "shape": np.zeros((3, 2)),
        "type": np.zeros(2, np.float64),
        "same": np.ones(1),
    }
    assert differences(a, b) == [
        "the second has no 'only a'",
        "the first has no 'only b'",
        "'shape' has shape (2, 3) against (3, 2)",
        "'type' has type float32 against float64",
    ]


def test_networks_that_differ_are_not_averaged() -> None:
    with pytest.raises(
        UsageError, match=r"networks 1 and 3 .*'layer.weight' has shape \(1,\) against \(2,\)"
    ):
        average([network([1]), network([2]), network([1, 2])])
    with pytest.raises(UsageError, match=r"the second has no 'norm\.batches'"):
        interpolate(network([1]), {"layer.weight": np.ones(1, np.float32)}, 0.5)


def test_nothing_cannot_be_averaged() -> None:
    with pytest.raises(UsageError, match="no network"):
        average([])


@settings(deadline=None)
@given(a=arrays, b=arrays, alpha=st.floats(0, 1))
def test_a_point_on_the_line(a: np.ndarray, b: np.ndarray, alpha: float) -> None:
    point = interpolate(network(a, batches=3), network(b), alpha)
    expected = (1 - alpha) * a.astype(np.float64) + alpha * b.astype(np.float64)
    assert np.array_equal(point["layer.weight"], expected.astype(np.float32))
    assert point["norm.batches"] == 3
    assert np.array_equal(interpolate(network(a), network(b), 0)["layer.weight"], a)
    assert np.array_equal(interpolate(network(a), network(b), 1)["layer.weight"], b)
    assert np.array_equal(interpolate(network(a), network(a), alpha)["layer.weight"], a)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_a_point_off_the_line_is_refused(alpha: float) -> None:
    with pytest.raises(UsageError, match="alpha is"):
        interpolate(network([1]), network([2]), alpha)
