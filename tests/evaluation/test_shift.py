from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ensemble.evaluation.evaluate import EvaluationInput, evaluate
from ensemble.evaluation.inputs import Predictors
from ensemble.evaluation.shift import probability_of_more, shift
from tests.evaluation.scenarios import classification, probabilities, regression


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20)
)
def test_the_probability_is_the_area_under_the_roc_curve(first: list[int], second: list[int]) -> None:
    labels = [1] * len(first) + [0] * len(second)
    expected = roc_auc_score(labels, first + second)
    assert probability_of_more(np.array(first), np.array(second)) == pytest.approx(expected, abs=1e-10)


def moved(own: EvaluationInput, *, skill: float, rows: int = 300) -> EvaluationInput:
    p, y = probabilities(len(own.members.test), rows, len(own.classes), seed=5, skill=skill)
    return replace(
        own, test_targets=y, predictors=(Predictors("members", own.members.members, own.members.valid, p),)
    )


def test_harder_rows_are_worse_and_more_uncertain() -> None:
    own = classification(test=400)
    new = moved(own, skill=0.2)
    found = shift(own, new, evaluations=(evaluate(own), evaluate(new)))
    assert (found["own"]["rows"], found["new"]["rows"]) == (400, 300)
    assert found["difference"]["accuracy"]["ci95"][1] < 0
    assert found["difference"]["nll"]["ci95"][0] > 0
    assert found["more_uncertain"] > 0.5
    assert found["new"]["total"] > found["own"]["total"]


def test_the_same_rows_differ_by_nothing_with_an_interval_around_it() -> None:
    own = regression()
    found = shift(own, own, evaluations=(evaluate(own), evaluate(own)))
    assert found["more_uncertain"] == 0.5
    for one in found["difference"].values():
        assert one["value"] == 0
        assert one["ci95"][0] < 0 < one["ci95"][1]
