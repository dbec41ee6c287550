"""What the report draws, over every shape an input can take."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.evaluation.evaluate import evaluate
from ensemble.evaluation.figures import MOST_POINTS
from tests.evaluation.scenarios import classification, everything, regression


def test_curves_begin_at_the_figures_of_the_table() -> None:
    found = evaluate(everything())
    rejection = found.figures["rejection"]
    assert rejection["average"][0] == pytest.approx(found.combined["average"]["accuracy"])
    assert rejection["members"][0] == pytest.approx(found.single["accuracy"]["mean"])
    matrix = np.array(found.figures["confusion"])
    assert matrix.trace() / matrix.sum() == pytest.approx(found.combined["average"]["accuracy"])
    bins = found.figures["reliability"]["calibrated"]
    ece = sum(one["rows"] * abs(one["accuracy"] - one["confidence"]) for one in bins) / matrix.sum()
    assert found.calibrated is not None
    assert ece == pytest.approx(found.calibrated["test"]["ece"], abs=1e-10)


def test_regression_begins_at_its_rmse() -> None:
    found = evaluate(regression())
    assert found.figures["rejection"]["average"][0] == pytest.approx(found.combined["average"]["rmse"])
    assert found.figures["coverage"][-1]["achieved"] == pytest.approx(found.combined["average"]["coverage95"])


def test_without_a_variance_there_is_no_coverage() -> None:
    found = evaluate(regression(outputs=1)).figures
    assert found["coverage"] is None
    assert found["rejection"]["members"] is None
    assert found["points"][0][2:] == [None, None]


def test_without_validation_rows_nothing_is_calibrated() -> None:
    assert evaluate(classification(valid=0)).figures["reliability"]["calibrated"] is None


def test_points_are_bounded_and_reach_both_ends() -> None:
    given = regression(test=3 * MOST_POINTS)
    points = evaluate(given).figures["points"]
    assert len(points) == MOST_POINTS
    assert (points[0][0], points[-1][0]) == (given.test_targets.min(), given.test_targets.max())


def test_the_matrix_of_very_many_classes_is_left_out() -> None:
    found = evaluate(classification(members=2, valid=4, test=30, classes=101)).figures
    assert found["confusion"] is None
    assert len(found["per_class"]) == 101
