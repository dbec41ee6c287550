from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ensemble.errors import EnsembleError
from ensemble.evaluation.evaluate import EvaluationInput, OutOfBag, evaluate
from ensemble.evaluation.metrics import METRICS, metrics
from tests.evaluation.scenarios import classification, everything, regression

KEYS = {
    "single",
    "combined",
    "oob",
    "diversity",
    "uncertainty",
    "size_curve",
    "tests",
    "calibration",
    "figures",
    "notes",
}


@pytest.mark.parametrize(
    "given", [everything(), classification(), classification(valid=0), regression(), regression(outputs=1)]
)
def test_sections_are_plain_json_with_the_keys_of_the_contract(given: EvaluationInput) -> None:
    sections = evaluate(given).as_json()
    assert set(sections) == KEYS
    assert json.loads(json.dumps(sections, allow_nan=False)) == sections
    for found in sections["combined"].values():
        assert set(METRICS[given.task]) <= set(found)
        assert set(found["ci95"]) == set(METRICS[given.task])
    assert set(sections["single"]) == set(METRICS[given.task])
    for section in ("diversity", "uncertainty", "size_curve"):
        assert set(sections[section]) == {one.origin for one in given.predictors}


@pytest.mark.parametrize(
    "given", [classification(members=1), regression(members=1), regression(members=1, outputs=1)]
)
def test_an_ensemble_of_one_equals_its_member(given: EvaluationInput) -> None:
    found = evaluate(given)
    (member,) = found.member_metrics
    for name, value in member.test.items():
        for combiner in ("average", "greedy"):
            assert found.combined[combiner][name] == value
        assert found.single[name]["mean"] == value
        assert found.single[name]["sd"] is None
        assert found.size_curve["members"][0][name] == value
    if given.task == "classification":
        assert found.combined["vote"]["accuracy"] == member.test["accuracy"]
        assert found.uncertainty["members"]["epistemic"] == 0
    test = next(one for one in found.tests if one["b"] == "member 0")
    assert all(one["value"] == 0 for one in test["difference"].values())


@pytest.mark.parametrize(
    "given", [classification(test=1), regression(test=1), classification(test=1, valid=2)]
)
def test_one_test_row_is_enough(given: EvaluationInput) -> None:
    json.dumps(evaluate(given).as_json(), allow_nan=False)


def test_the_same_input_gives_the_same_figures_and_the_order_of_origins_does_not_matter() -> None:
    given = everything()
    turned = replace(given, predictors=given.predictors[::-1], averages=given.averages[::-1])
    first, again, other = (evaluate(one).as_json() for one in (given, given, turned))
    assert first == again
    assert first["combined"]["average"] == other["combined"]["average"]
    assert set(first["combined"]) == set(other["combined"])


def test_single_is_over_the_members_and_intervals_hold_the_figures() -> None:
    given = everything()
    found = evaluate(given)
    singles = [
        metrics(one, given.test_targets, task="classification")["nll"] or 0 for one in given.members.test
    ]
    assert found.single["nll"] == {
        "mean": pytest.approx(np.mean(singles)),
        "sd": pytest.approx(np.std(singles, ddof=1)),
        "min": min(singles),
        "max": max(singles),
    }
    for one in found.combined.values():
        for name in ("accuracy", "brier"):
            low, high = one["ci95"][name]
            assert low <= one[name] <= high
    assert found.combined["vote"]["nll"] is None
    assert found.combined["vote"]["ci95"]["nll"] is None
    assert found.combined["vote"]["tie_rate"] >= 0


def test_the_size_curve_ends_at_the_average() -> None:
    found = evaluate(everything())
    for origin, name in (("members", "average"), ("snapshots", "snapshots/average")):
        for metric in METRICS["classification"]:
            assert found.size_curve[origin][-1][metric] == pytest.approx(
                found.combined[name][metric], abs=1e-12
            )


def test_an_average_at_chance_is_not_advised() -> None:
    found = evaluate(everything()).combined["parameters"]
    assert found["advised"] is False
    assert found["barrier"] > 0


def test_out_of_bag_is_reported_for_the_ensemble_and_each_member() -> None:
    given = everything()
    found = evaluate(given)
    assert given.oob is not None
    assert found.oob is not None
    assert 0 < found.oob["coverage"] <= 1
    assert found.oob["ci95"]["nll"] is not None
    for member, rows, values in zip(found.member_metrics, given.oob.rows, given.oob.values, strict=True):
        assert member.oob == metrics(values, given.oob.targets[rows], task="classification")


def test_nothing_out_of_bag_has_no_figures() -> None:
    nothing = OutOfBag((np.empty(0, dtype=int),) * 5, (np.empty((0, 4)),) * 5, np.zeros(9, dtype=int))
    found = evaluate(replace(classification(), oob=nothing))
    assert found.oob == {"coverage": 0, "rows": 0, "accuracy": None, "nll": None, "brier": None, "ece": None}
    assert all(member.oob is None for member in found.member_metrics)
    assert evaluate(classification()).oob is None


def test_the_best_member_is_chosen_on_validation_rows_where_there_are_any() -> None:
    given = classification()
    assert given.members.valid is not None
    assert given.valid_targets is not None
    given.members.valid[3] = np.eye(4)[given.valid_targets] * 0.96 + 0.01
    chosen = [one for one in evaluate(given).tests if one["b"].startswith("member ")]
    assert [(one["b"], one["chosen_on"]) for one in chosen] == [("member 3", "valid")]
    without = classification(valid=0)
    best = int(np.argmin([one.test["nll"] or 0 for one in evaluate(without).member_metrics]))
    chosen = [one for one in evaluate(without).tests if one["b"].startswith("member ")]
    assert [(one["b"], one["chosen_on"]) for one in chosen] == [(f"member {best}", "test")]


def test_the_average_is_tested_against_every_other_combiner() -> None:
    found = evaluate(everything())
    assert {one["b"] for one in found.tests} >= set(found.combined) - {"average"} | {"members"}
    against_mean = next(one for one in found.tests if one["b"] == "members")
    assert against_mean["mcnemar_p"] is None
    assert against_mean["difference"]["nll"]["ci95"][1] < 0
    assert next(one for one in found.tests if one["b"] == "vote")["mcnemar_p"] <= 1


def test_other_origins_are_counted_in_independent_members() -> None:
    found = evaluate(everything())
    assert found.combined["dropout/average"]["deep_ensemble_equivalent"]["members"] > 1
    assert "deep_ensemble_equivalent" not in found.combined["average"]


def test_what_is_left_out_is_said() -> None:
    notes = " ".join(evaluate(classification(valid=1)).notes)
    assert "Greedy selection and calibration are left out" in notes
    assert "there are 1" in notes
    notes = " ".join(evaluate(regression(outputs=1, valid=6)).notes)
    assert "There is no vote" in notes
    assert "neither NLL nor coverage" in notes
    assert "3 calibration rows are too few for 90% conformal coverage" in notes
    given = classification()
    notes = " ".join(evaluate(replace(given, test_targets=np.minimum(given.test_targets, 2))).notes)
    assert "Classes without test rows: 'class 3'" in notes


def test_a_temperature_that_ran_away_is_said() -> None:
    given = classification()
    assert given.members.valid is not None
    assert given.valid_targets is not None
    given.members.valid[:] = np.eye(4)[given.valid_targets] * 0.4 + 0.15
    assert any("temperature ran into its bound" in note for note in evaluate(given).notes)


def test_an_average_of_parameters_that_is_not_finite_has_no_figures() -> None:
    given = everything()
    given.averages[0].test[:] = np.nan
    found = evaluate(given)
    assert found.combined["parameters"]["nll"] is None
    assert found.combined["parameters"]["ci95"]["nll"] is None
    assert "The predictions of parameters are not finite." in found.notes


def test_inputs_are_checked() -> None:
    with pytest.raises(EnsembleError, match="needs test rows"):
        evaluate(classification(test=0))


def test_inputs_are_not_changed() -> None:
    given = everything()
    before = [one.test.copy() for one in given.predictors]
    evaluate(given)
    for one, copy in zip(given.predictors, before, strict=True):
        assert (one.test == copy).all()


def test_the_unbiased_variance_needs_two_predictors() -> None:
    found = evaluate(classification(members=4)).as_json()["uncertainty"]["members"]
    assert found["variance_unbiased"] == pytest.approx(found["variance"] * 4 / 3)
    assert (
        evaluate(classification(members=1)).as_json()["uncertainty"]["members"]["variance_unbiased"] is None
    )
