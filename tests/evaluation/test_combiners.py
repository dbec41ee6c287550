from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ensemble.combining.predictions import Array
from ensemble.errors import EnsembleError
from ensemble.evaluation.combiners import Combiner, combiners
from ensemble.evaluation.held_out import fit_held_out
from ensemble.evaluation.inputs import EvaluationInput, ParameterAverage
from ensemble.evaluation.metrics import metrics
from tests.evaluation.scenarios import classification, everything, regression


def by_name(given: EvaluationInput) -> dict[str, Combiner]:
    return {one.name: one for one in combiners(given, fit_held_out(given))}


def averaged(given: EvaluationInput, valid: Array | None, test: Array) -> Combiner:
    return by_name(
        replace(
            given, averages=(ParameterAverage("members", None if valid is None else valid[None], test[None]),)
        )
    )["parameters"]


def test_names_and_order_are_those_of_the_contract() -> None:
    assert list(by_name(everything())) == [
        *("average", "vote", "parameters", "greedy"),
        *("snapshots/average", "snapshots/vote", "snapshots/parameters"),
        *("dropout/average", "dropout/vote"),
    ]
    assert list(by_name(classification(valid=0))) == ["average", "vote"]
    assert list(by_name(regression())) == ["average", "greedy"]


def test_the_barrier_is_the_loss_of_the_average_over_the_mean_members() -> None:
    for given, key in ((classification(), "nll"), (regression(), "nll"), (regression(outputs=1), "rmse")):
        valid, y = given.members.valid, given.valid_targets
        assert valid is not None
        assert y is not None
        losses = [metrics(one, y, task=given.task)[key] or 0 for one in valid]
        power = 2 if key == "rmse" else 1  # without variances the loss is the squared error
        found = averaged(given, valid[2], given.members.test[2]).more["barrier"]
        assert found == pytest.approx(losses[2] ** power - np.mean(np.power(losses, power)), abs=1e-9)


def test_averaging_is_advised_down_to_one_point_below_the_mean_member() -> None:
    given = classification(valid=400, classes=2)
    y, test = given.valid_targets, given.members.test[0]
    assert y is not None
    right = np.where(np.eye(2)[y] > 0, 0.9, 0.1)
    members = np.repeat(right[None], 5, axis=0)
    given = replace(given, predictors=(replace(given.members, valid=members),))
    for wrong, advised in ((0, True), (4, True), (5, False)):  # of 400 rows, one point is 4
        worse = right.copy()
        worse[:wrong] = worse[:wrong, ::-1]
        assert averaged(given, worse, test).more["advised"] is advised


def test_averaging_is_advised_up_to_five_percent_of_rmse() -> None:
    given = regression(outputs=1)
    y, test = given.valid_targets, given.members.test[0]
    assert y is not None
    members = np.repeat((y + 2.0)[None, :, None], 5, axis=0)
    given = replace(given, predictors=(replace(given.members, valid=members),))
    for error, advised in ((2.0, True), (2.1, True), (2.11, False)):
        assert averaged(given, (y + error)[:, None], test).more["advised"] is advised


def test_without_validation_rows_nothing_is_advised_or_not() -> None:
    given = classification(valid=0)
    more = averaged(given, None, given.members.test[0]).more
    assert more["barrier"] is None
    assert more["advised"] is None


@pytest.mark.parametrize("part", ["valid", "test"])
def test_an_average_that_is_not_finite_is_worthless_but_reported(part: str) -> None:
    given = classification()
    assert given.members.valid is not None
    parts = {"valid": given.members.valid[0].copy(), "test": given.members.test[0].copy()}
    parts[part][0, 0] = np.nan
    found = averaged(given, parts["valid"], parts["test"])
    assert (found.scores is None) == (part == "test")
    assert found.more["advised"] is False
    assert found.more["barrier"] is None


def test_several_averages_of_one_origin_say_what_they_are() -> None:
    given = classification()
    assert given.members.valid is not None
    plain = ParameterAverage("members", given.members.valid[:1], given.members.test[:1])
    matched, soup = replace(plain, matched=True), replace(plain, chosen=(0, 2))
    found = by_name(replace(given, averages=(soup, matched, plain)))
    assert found["parameters"].more["matched"] is True
    assert found["parameters/unmatched"].more["matched"] is False
    assert found["parameters/greedy"].more["chosen"] == [0, 2]
    assert by_name(replace(given, averages=(matched,)))["parameters"].more["matched"] is True
    with pytest.raises(EnsembleError, match="alike"):
        by_name(replace(given, averages=(plain, plain)))


def test_greedy_says_how_often_each_was_chosen_and_on_how_many_rows() -> None:
    more = by_name(classification())["greedy"].more
    assert len(more["chosen"]) == 5
    assert sum(more["chosen"]) >= 1
    assert more["selected_on"] == 30
