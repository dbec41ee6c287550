from __future__ import annotations

import numpy as np
import pytest

from ensemble.combining.calibration import TEMPERATURES
from ensemble.evaluation.held_out import at_bound, calibration_section, fit_held_out, split_holdout
from tests.evaluation.scenarios import classification, regression


@pytest.mark.parametrize("rows", [2, 3, 100])
def test_the_halves_are_disjoint_and_complete(rows: int) -> None:
    selecting, calibrating = split_holdout(rows, seed=0)
    assert sorted([*selecting, *calibrating]) == list(range(rows))
    assert len(selecting) == rows // 2
    assert (np.sort(selecting) == selecting).all()
    if rows == 100:
        assert split_holdout(rows, seed=1)[0].tolist() != selecting.tolist()


@pytest.mark.parametrize("rows", [0, 1])
def test_with_fewer_than_two_rows_nothing_is_fitted(rows: int) -> None:
    assert fit_held_out(classification(valid=rows)) is None


def test_calibration_rows_do_not_select_and_the_other_way_round() -> None:
    given = classification()
    assert given.members.valid is not None
    before = fit_held_out(given)
    assert before is not None
    given.members.valid[:, before.calibrating] = 0.25
    after = fit_held_out(given)
    assert after is not None
    assert after.selection.order == before.selection.order
    assert after.calibration != before.calibration


def test_what_is_fitted_does_well_on_test_rows() -> None:
    given = classification(valid=600, test=2000)
    held_out = fit_held_out(given)
    assert held_out is not None
    section = calibration_section(given, held_out.calibration)
    assert section["rows"] == 300
    assert section["conformal"]["test_coverage"] == pytest.approx(0.9, abs=0.04)
    assert 1 <= section["conformal"]["mean_set_size"] <= 4
    assert set(section["test"]) == {"accuracy", "nll", "brier", "ece"}


def test_regression_has_intervals_and_no_temperature() -> None:
    given = regression(valid=600, test=2000)
    held_out = fit_held_out(given)
    assert held_out is not None
    section = calibration_section(given, held_out.calibration)
    assert section["temperature"] is None
    assert section["conformal"]["test_coverage"] == pytest.approx(0.9, abs=0.04)
    assert section["conformal"]["mean_width"] > 0


def test_a_temperature_near_its_bounds_is_told() -> None:
    assert not at_bound(1.0)
    assert at_bound(TEMPERATURES[0] * 1.2)
    assert at_bound(TEMPERATURES[1])
