"""Averages of parameters on the disk: what does not verify is set aside, the rest stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import RunError
from ensemble.runs.averages import Averages
from ensemble.runs.records import Average

AVERAGE = Average("averaged", "members", ((0, 0), (1, 0)), matched=True)


@pytest.fixture
def averages(tmp_path: Path) -> Averages:
    kept = Averages(tmp_path)
    for average in (AVERAGE, Average("unmatched", "members", AVERAGE.networks)):
        kept.save(average, {"w": np.arange(4.0)}, {"test": np.ones((2, 3), np.float32)})
    return kept


def test_one_is_found_again(averages: Averages) -> None:
    record = averages.get("averaged")
    assert record is not None
    assert (record.networks, record.matched) == (AVERAGE.networks, True)
    np.testing.assert_array_equal(averages.weights(record)["w"], np.arange(4.0))
    assert averages.predictions(record)["test"].shape == (2, 3)
    assert averages.get("greedy") is None


@pytest.mark.parametrize("ending", [".json", ".safetensors", ".predictions.safetensors"])
def test_a_damaged_one_is_set_aside_and_the_others_stay(
    averages: Averages, tmp_path: Path, ending: str
) -> None:
    """Seen to fail when weights or predictions are not read: they were found damaged by the report only."""
    path = tmp_path / f"averaged{ending}"
    path.write_bytes(path.read_bytes()[:-2])
    told: list[tuple[str, str]] = []
    averages.set_damaged_aside(lambda aside, why: told.append((aside, why)))
    ((aside, why),) = told
    assert aside == "averaged.json.damaged"
    assert path.name in why
    assert averages.get("averaged") is None
    assert averages.get("unmatched") is not None


def test_damage_is_refused_by_who_reads(averages: Averages, tmp_path: Path) -> None:
    record = averages.get("averaged")
    assert record is not None
    (tmp_path / "averaged.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match="damaged: 0 bytes"):
        averages.weights(record)
