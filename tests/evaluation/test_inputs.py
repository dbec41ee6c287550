from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ensemble.errors import EnsembleError
from ensemble.evaluation.inputs import EvaluationInput, ParameterAverage, Predictors, check
from tests.evaluation.scenarios import classification, everything, regression


def with_members(given: EvaluationInput, **changes: object) -> EvaluationInput:
    return replace(given, predictors=(replace(given.members, **changes),))  # type: ignore[arg-type]


def test_what_fits_together_passes() -> None:
    for given in (
        classification(),
        classification(valid=0),
        regression(),
        regression(outputs=1),
        everything(),
    ):
        check(given)


def test_no_test_rows() -> None:
    with pytest.raises(EnsembleError, match="needs test rows"):
        check(classification(test=0))


def test_no_members_or_an_origin_twice() -> None:
    given = classification()
    with pytest.raises(EnsembleError, match="'members'"):
        check(with_members(given, origin="heads"))
    with pytest.raises(EnsembleError, match="may come once"):
        check(replace(given, predictors=given.predictors * 2))


@pytest.mark.parametrize("label", [-1, 4])
def test_labels_that_are_no_class(label: int) -> None:
    given = classification()
    with pytest.raises(EnsembleError, match="class indices 0 to 3"):
        check(replace(given, test_targets=np.full(80, label)))
    with pytest.raises(EnsembleError, match="float64"):
        check(replace(given, valid_targets=np.zeros(60)))


def test_a_target_that_is_not_finite() -> None:
    given = regression()
    given.test_targets[7] = np.nan
    with pytest.raises(EnsembleError, match="row 7"):
        check(given)


def test_predictions_of_another_shape() -> None:
    given = classification()
    with pytest.raises(EnsembleError, match=r"\(79, 4\).*\(80, 4\) was expected"):
        check(with_members(given, test=given.members.test[:, 1:]))
    with pytest.raises(EnsembleError, match=r"\(60, 3\)"):
        check(with_members(given, valid=given.members.test[:, :60, :3]))
    with pytest.raises(EnsembleError, match=r"\(80, 1\) or \(80, 2\)"):
        check(with_members(regression(), test=np.ones((5, 80, 3))))
    with pytest.raises(EnsembleError, match="hold 4 predictors, but there are 5"):
        check(with_members(given, valid=np.ones((4, 60, 4)) / 4))
    with pytest.raises(EnsembleError, match="5 predictors, but members behind 2"):
        check(with_members(given, members=(0, 1)))
    with pytest.raises(EnsembleError, match="no predictions of them"):
        check(with_members(given, valid=None))


def test_a_predictor_that_is_not_finite_is_named() -> None:
    given = classification()
    given.members.test[3, 0, 0] = np.nan
    with pytest.raises(EnsembleError, match=r"predictor 3 \(member 3\) is not finite"):
        check(given)


def test_an_average_of_nothing_or_of_another_shape() -> None:
    given = classification()
    stray = ParameterAverage("snapshots", np.ones((1, 60, 4)) / 4, np.ones((1, 80, 4)) / 4)
    with pytest.raises(EnsembleError, match="'snapshots'"):
        check(replace(given, averages=(stray,)))
    with pytest.raises(EnsembleError, match="averaged members"):
        check(replace(given, averages=(ParameterAverage("members", stray.valid, np.ones((1, 80, 3))),)))


def test_out_of_bag_predictions_of_other_members() -> None:
    given = everything()
    assert given.oob is not None
    with pytest.raises(EnsembleError, match="5 members, but out-of-bag rows of 4"):
        check(replace(given, oob=replace(given.oob, rows=given.oob.rows[1:])))


def test_members_are_found_among_other_origins() -> None:
    given = classification()
    heads = Predictors("heads", (0,), given.members.valid, given.members.test)
    assert replace(given, predictors=(heads, given.members)).members is given.members
