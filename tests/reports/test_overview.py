"""The first screen in words: right, careful, and never a claim that was not measured."""

from __future__ import annotations

from typing import Any

import pytest

from ensemble.reports.overview import headlines, lead, listed, verdicts
from tests.evaluation.scenarios import classification
from tests.reports.examples import full_report, regression_report, report


def answer(document: dict[str, Any], question: str) -> str:
    return dict(verdicts(document))[question]


def with_gain(low: float, high: float) -> dict[str, Any]:
    document = full_report()
    for test in document["tests"]:
        if test["b"] == "members":
            test["difference"]["accuracy"] = {"value": (low + high) / 2, "ci95": [low, high]}
    return document


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.01, 0.03, "Yes. Of 100 mistakes"), (-0.01, 0.03, "cannot tell"), (-0.03, -0.01, "No:")],
)
def test_worth_follows_the_paired_interval(low: float, high: float, said: str) -> None:
    assert said in answer(with_gain(low, high), "Is the ensemble better?")


def test_a_single_member_is_no_ensemble() -> None:
    document = report(classification(members=1))
    assert "nothing to combine" in answer(document, "Is the ensemble better?")
    assert "Which way of combining?" not in dict(verdicts(document))
    assert lead(document).startswith("One neural network learned")
    assert [one.kind for one in headlines(document)] == ["single", "ensemble"]


def test_the_best_way_says_whether_it_can_be_told_from_averaging() -> None:
    document = full_report()
    document["combined"]["greedy"]["accuracy"] = 0.9999
    said = answer(document, "Which way of combining?")
    assert said.startswith("Greedy did best here (99.99%)")
    assert "cannot tell" in said or "holds" in said


def test_an_ill_advised_combiner_is_never_the_best() -> None:
    document = full_report()
    document["combined"]["parameters"] |= {"accuracy": 1.0, "advised": False}
    assert "arameters" not in answer(document, "Which way of combining?").partition("/")[0]


def test_numbers_of_a_regression_keep_their_unit() -> None:
    one, both, gain = headlines(regression_report())
    assert "%" not in one.figure + both.figure + gain.figure
    assert gain.figure.startswith("−")
    assert "intervals hold" in answer(regression_report(), "May I trust its intervals?")


def test_lists_read_as_in_speech() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
