"""The barrier by closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.errors import UsageError
from ensemble.merging.barrier import barrier


def at(value: float) -> dict[str, np.ndarray]:
    return {"w": np.array([value])}


def test_a_double_well_has_the_height_of_its_hill() -> None:
    found = barrier(at(-1.0), at(1.0), lambda w: float((w["w"][0] ** 2 - 1) ** 2))
    assert found.height == pytest.approx(1.0)
    assert found.losses == pytest.approx((0, 0.5625, 1, 0.5625, 0))


def test_a_convex_loss_has_none() -> None:
    assert barrier(at(0.0), at(4.0), lambda w: float(w["w"][0] ** 2)).height == pytest.approx(0.0)


def test_the_chord_is_taken_off_where_the_ends_differ() -> None:
    assert barrier(at(0.0), at(1.0), lambda w: 3.0 * float(w["w"][0])).height == pytest.approx(0.0)


def test_networks_that_differ_are_refused() -> None:
    with pytest.raises(UsageError, match="differ"):
        barrier(at(0.0), {"v": np.zeros(1)}, lambda w: 0.0)
