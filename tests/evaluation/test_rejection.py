from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.evaluation.rejection import SHARES, kept_means


def test_known_answer() -> None:
    uncertainty = np.arange(20.0)
    right = (np.arange(20) < 10).astype(float)
    kept = dict(zip(SHARES, kept_means(uncertainty, right), strict=True))
    assert kept[0.0] == 0.5
    assert kept[0.25] == pytest.approx(10 / 15)
    assert kept[0.5] == kept[0.95] == 1.0


@given(st.integers(1, 50), st.integers(0, 1000))
def test_nothing_rejected_is_the_mean_and_a_row_always_stays(rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    uncertainty, values = rng.random(rows), rng.random(rows)
    kept = kept_means(uncertainty, values)
    assert kept[0] == pytest.approx(values.mean())
    assert len(kept) == len(SHARES)
    if rows <= 20:
        assert kept[-1] == pytest.approx(values[uncertainty.argmin()])
