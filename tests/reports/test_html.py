"""The page: whole, closed to the world, and every name in it stays text."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from ensemble.reports.cards import data_uri
from ensemble.reports.html import render_comparison, render_html
from tests.evaluation.scenarios import classification, regression
from tests.reports.examples import full_report, regression_report, report

EVIL = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Tags, identifiers and text of a page."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.images: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if tag == "img" and name == "src":
                self.images.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@cache
def _whole() -> str:
    return render_html(full_report())


def drawn(document: dict[str, Any], **how: Any) -> Page:
    page = Page(render_html(document, **how))
    assert page.open == []
    return page


@pytest.mark.parametrize("document", [full_report(), regression_report()], ids=["classes", "numbers"])
def test_the_page_is_well_formed_and_fetches_nothing(document: dict[str, Any]) -> None:
    page = render_html(document)
    found = drawn(document)
    assert len(set(found.ids)) == len(found.ids)
    assert "script" not in found.tags
    assert "default-src 'none'" in page
    addresses = set(re.findall(r"https?://[^\"' ]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"url\((?!#)", page)
    assert "DejaVu Sans'" not in page.partition("</style>")[2]


def test_equal_reports_make_equal_pages() -> None:
    assert render_html(full_report()) == _whole()


def test_every_picture_has_a_title_a_description_and_a_sentence() -> None:
    page = _whole()
    pictures = page.count("<svg")
    assert pictures >= 8
    assert page.count("</title><desc id=") == pictures
    assert page.count("<figcaption><h3>") == pictures


def test_the_first_screen_says_what_a_person_wants_to_know() -> None:
    text = drawn(full_report(test=400)).text
    first = text.partition("What do more networks buy?")[0]
    for said in (
        "Five neural networks",
        "400 test rows",
        "a single network is right on",
        "95% interval",
        "points",
    ):
        assert said in first
    for question in ("Is the ensemble better?", "Which way of combining?", "What did it cost?"):
        assert question in first
    assert "member 5 (failed)" in first


def test_names_that_are_markup_stay_names() -> None:
    document = full_report()
    document["data"]["classes"] = [f"{EVIL}{k}" for k in range(4)]
    document["data"]["source"] = document["name"] = document["members"][-1]["status"] = EVIL
    document["notes"].append(EVIL)
    document["combined"][EVIL] = document["combined"]["average"]
    document["environment"] = {
        "versions": {EVIL: EVIL},
        "hardware": [EVIL],
        "threads": [1],
        "precision": [EVIL],
    }
    page = render_html(document)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 10
    drawn(document)


@pytest.mark.parametrize(
    "names",
    [["$5$ and $x_1$", "日本語のクラス", "a" * 400, "\x1b[31mred"], ["=HYPERLINK(1)", "", "{{ 7 }}", "%s"]],
    ids=["long and foreign", "formulas"],
)
def test_odd_class_names_are_drawn(names: list[str]) -> None:
    document = full_report()
    document["data"]["classes"] = names
    page = drawn(document)
    assert "\x1b" not in page.text
    assert names[0] in page.text


@pytest.mark.parametrize(
    "given",
    [
        classification(test=1),
        classification(members=1),
        classification(valid=0),
        classification(classes=2),
        classification(members=2, classes=45, test=200),
        regression(test=1),
        regression(outputs=1),
        regression(members=1, valid=0),
    ],
    ids=[
        "one row",
        "one member",
        "no validation",
        "two classes",
        "many classes",
        "one number",
        "no variance",
        "bare",
    ],
)
def test_thin_reports_are_drawn(given: Any) -> None:
    assert "What did it cost?" in drawn(report(given)).text


def test_many_members_are_folded_away() -> None:
    page = drawn(report(classification(members=25, test=30, valid=10)))
    assert page.tags.count("details") == 1
    assert "All 25 networks" in page.text
    assert "details" not in Page(_whole()).tags


def test_one_test_row_is_said() -> None:
    assert "1 test row can tell only coarse differences" in drawn(report(classification(test=1))).text


def test_a_class_without_test_rows_is_said() -> None:
    given = classification(test=80)
    given.test_targets[given.test_targets == 2] = 1
    text = drawn(report(given)).text
    assert "Classes without test rows: 'class 2'" in text


def test_a_report_of_an_earlier_version_is_drawn() -> None:
    document = full_report()
    for key in ("figures", "tests", "calibration", "notes", "uncertainty", "size_curve", "diversity"):
        del document[key]
    assert "Which way of combining?" in drawn(document).text


def test_images_stand_by_their_rows() -> None:
    document = full_report()
    row = document["figures"]["rows"]["mistakes"][0]["row"]
    image = np.zeros((8, 8, 1), np.uint8)
    page = drawn(document, images={row: image})
    assert data_uri(image) in page.images
    assert Page(_whole()).images == []


def test_colour_images_too() -> None:
    assert data_uri(np.zeros((4, 5, 3), np.uint8)).startswith("data:image/png;base64,")


def test_a_shift_is_told_first() -> None:
    document = full_report()
    metrics = {"accuracy": 0.9, "nll": 0.3, "brier": 0.1, "ece": 0.05}
    side = {"rows": 50, **metrics, "ci95": {m: [v, v] for m, v in metrics.items()}, "members": metrics}
    side |= {"calibrated": None, "conformal": None, "total": 0.2, "epistemic": 0.1}
    change = {m: {"value": -0.1, "ci95": [-0.2, -0.05]} for m in metrics}
    document["shift"] = {"own": side, "new": side, "difference": change, "more_uncertain": 0.75}
    text = drawn(document).text
    assert "set beside the 50 of the run itself" in text
    assert text.index("Does it hold on these rows?") < text.index("Is the ensemble better?")
    assert "0.75" in text


def comparison(**changes: Any) -> dict[str, Any]:
    one = full_report()
    run = {key: one.get(key) for key in ("data", "members", "single", "combined", "cost")}
    gain = {m: {"value": 0.1, "ci95": [0.05, 0.2]} for m in ("accuracy", "nll")}
    return {
        "task": "classification",
        "runs": [{**run, "run": f"runs/{name}", "name": name} for name in (EVIL, "b", "c")],
        "tests": [{"a": 0, "b": 1, "mcnemar_p": 0.01, "difference": gain}],
        "unpaired": [{"a": 0, "b": 2, "why": "their test rows differ"}],
        "differing": {"epochs": [1, 2, 3], "hidden": [[1, 2], None, [3]]},
        **changes,
    }


def test_a_comparison_is_a_page_too() -> None:
    page = Page(render_comparison(comparison()))
    assert page.open == []
    assert "script" not in page.tags
    assert "A is better than B by accuracy" in page.text
    assert "A and C are not paired: their test rows differ." in page.text
    assert "Page" not in Page(render_comparison(comparison(tests=[], differing={}))).text


def test_of_very_many_members_those_that_stand_out_are_shown() -> None:
    """Ten thousand rows and dots would make a page of megabytes that nobody reads."""
    given = full_report()
    metrics = given["members"][0]["test"]
    row = {"status": "done", "attempts": 1, "epochs": 3, "seconds": 1.0, "oob": None}
    given["members"] = [
        {**row, "index": index, "test": {**metrics, "accuracy": index / 10_000}} for index in range(10_000)
    ]
    given["members"][77] |= {"status": "failed", "test": None}
    given["members"][88] |= {"mixed": True}
    page = render_html(given)
    assert len(page) < 500_000
    assert "102 of 10,000 networks" in page
    for index in (0, 9_999, 77, 88):
        assert f"network {index}" in page
    assert "network 5000" not in page
    assert "one network (200 of 9,999, evenly by rank)" in page
