from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ensemble.reports.summary import NOTHING, clean, number, sentences, table, title, warnings
from ensemble.reports.summary import notes as notes_of
from tests.evaluation.scenarios import classification, everything, regression
from tests.reports.examples import full_report, regression_report, report


def said(document: dict[str, Any]) -> str:
    return "\n".join(sentences(document))


def test_the_table_has_members_their_mean_and_every_combiner() -> None:
    document = full_report()
    content = table(document)
    assert content.header == ("test rows", "accuracy", "NLL", "Brier", "ECE")
    names = [row.name for row in content.rows]
    assert names[:8] == [
        *(f"member {k}" for k in range(5)),
        "member 5 (failed)",
        "mean of 5 members",
        "± sd over members",
    ]
    assert names[8:11] == ["average", "vote", "parameters (not advised)"]
    rows = {row.name: row.cells for row in content.rows}
    assert rows["member 5 (failed)"] == (NOTHING,) * 4
    assert rows["vote"][1] == NOTHING
    assert rows["average"][0] == f"{document['combined']['average']['accuracy']:.4f}"
    assert table(regression_report()).header == ("test rows", "RMSE", "MAE", "NLL", "cover 95 %")


def test_of_many_members_the_first_few_are_shown_and_the_rest_counted() -> None:
    document = report(classification(members=30, test=20, valid=0))
    document["members"] = [{**document["members"][0], "index": index} for index in range(1000)]
    rows = table(document).rows
    assert [row.name for row in rows[:7]] == [
        *(f"member {k}" for k in range(5)),
        "995 more members are not shown",
        "mean of 1000 members",
    ]


def test_numbers_in_units_have_four_digits_and_the_others_four_decimals() -> None:
    assert number("rmse", 12345.678) == "1.235e+04"
    assert number("mae", 0.00012345) == "0.0001234"
    assert number("nll", 1.23456) == "1.2346"
    assert number("nll", None) == NOTHING


def test_the_gain_is_told_with_its_interval() -> None:
    assert "Averaging took accuracy from" in said(full_report(test=2000))
    assert said(full_report(test=2000)).splitlines()[0].endswith("better.")
    assert said(regression_report(test=500)).splitlines()[0].endswith("better.")
    assert "Averaging took RMSE from" in said(regression_report())


def test_a_gain_that_chance_explains_and_a_loss_are_told_as_such() -> None:
    document = full_report()
    gain = next(one for one in document["tests"] if one["b"] == "members")["difference"]["accuracy"]
    gain["ci95"] = [-0.01, 0.03]
    assert "cannot be told from no difference" in said(document)
    gain["ci95"] = [-0.03, -0.01]
    assert "worse." in said(document)


def test_the_best_member_and_how_it_was_chosen() -> None:
    assert "best one by validation rows" in said(full_report())
    assert "McNemar p = " in said(full_report())
    assert "best one by the test rows, which favours it" in said(report(classification(valid=0)))
    assert "McNemar" not in said(regression_report())


def test_every_section_has_its_sentence() -> None:
    text = said(full_report())
    assert "Out of bag, over" in text
    assert "Two members disagree on" in text
    assert "Of the predictive entropy" in text
    assert "90% conformal sets cover" in text
    assert "Worth in independent members: snapshots/average" in text
    assert "34.2 s of wall time" in text
    assert "parallel efficiency 0.91" in text
    text = said(regression_report())
    assert "in the mean square" in text
    assert "Of the predictive variance" in text
    assert "90% conformal intervals cover" in text


def test_one_member_has_nothing_to_combine() -> None:
    text = said(report(classification(members=1)))
    assert "nothing to combine" in text
    assert "Against" not in text
    assert "disagree" not in text


def test_warnings_name_what_failed_what_is_ill_advised_and_too_few_rows() -> None:
    document = full_report()
    document["members"][1]["mixed"] = True
    text = "\n".join(warnings(document))
    assert "1 of 6 members failed; no figure includes member 5 (failed)." in text
    assert "(mixed): member 1." in text
    assert "parameters is not advised: its validation accuracy is more than one point below" in text
    assert "80 test rows can tell only coarse differences" in text
    assert warnings(report(classification(test=200))) == []


def test_failures_beyond_ten_are_counted() -> None:
    text = "\n".join(warnings(report(classification(), failed=tuple(range(5, 20)))))
    assert "15 of 20 members failed" in text
    assert "member 14 (failed) and 5 more." in text


def test_an_average_that_is_not_finite_says_so() -> None:
    given = everything()
    given.averages[0].test[:] = float("nan")
    assert any(
        "parameters is not advised: its predictions are not finite" in one for one in warnings(report(given))
    )


def test_notes_come_from_the_evaluation_and_the_data() -> None:
    document = regression_report()
    document["data"]["notes"] = ["3 missing cells were filled"]
    assert notes_of(document) == [
        "There is no vote: it has no meaning for regression.",
        "3 missing cells were filled",
    ]


@pytest.mark.parametrize(
    "section", ["cost", "oob", "diversity", "uncertainty", "calibration", "tests", "notes", "data"]
)
@pytest.mark.parametrize("how", ["null", "absent"])
def test_a_section_that_is_null_or_absent_is_passed_over(section: str, how: str) -> None:
    for document in (full_report(), regression_report()):
        if how == "null":
            document[section] = None
        else:
            del document[section]
        assert title(document)
        assert table(document).rows
        assert isinstance(sentences(document) + warnings(document) + notes_of(document), list)


def test_too_few_rows_for_calibration_are_told_without_a_width() -> None:
    text = said(report(regression(valid=6)))
    assert "90% conformal intervals cover 100.0% of the test rows." in text


def test_names_are_one_line_without_control_characters() -> None:
    assert clean("a\x1b[31mb\nc\td\u202e") == "a[31mb c d"
    document = report(
        replace(classification(), classes=("\x1b[2J", "b", "c", "d")), source="evil\x1b]0;title\x07\n"
    )
    assert title(document).startswith("evil]0;title · classification")
