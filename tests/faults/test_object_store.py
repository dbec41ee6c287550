"""An object store that is smaller than the data: Ray takes them from its disk, and the bits are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cluster import session
from ensemble.config import make_config
from ensemble.launch import train
from tests.faults.processes import digests
from tests.faults.tally import Tally

SMALLEST = 80 * 2**20
"""Bytes. Ray starts with no less than 75 MiB."""
OPTIONS = {
    "data": f"{__name__}:load",
    "standardize": "none",
    "net": "mlp",
    "hidden": (2,),
    "members": 2,
    "epochs": 2,
    "batch_size": 16,
}


def load() -> tuple[np.ndarray, np.ndarray]:
    """100 MiB: 64 rows of 400,000 features, three classes."""
    chance = np.random.default_rng(0)
    y = np.arange(64) % 3
    return chance.standard_normal((64, 409_600), np.float32) + y[:, None].astype(np.float32), y


@pytest.mark.chaos
@pytest.mark.ray
def test_a_store_smaller_than_the_data_changes_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    assert load()[0].nbytes > SMALLEST
    train(make_config(OPTIONS | {"pool": "serial"}), run=tmp_path / "undisturbed")
    monkeypatch.setattr(session, "object_store", lambda **limits: (SMALLEST, None))
    train(make_config(OPTIONS), run=tmp_path / "run")
    same = digests(tmp_path / "run") == digests(tmp_path / "undisturbed")
    tally.add("object store too small", schedules=1, faults=1, lost=0 if same else 1)
    assert same
