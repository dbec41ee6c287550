from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from ensemble.reports.text import render_report
from tests.evaluation.scenarios import classification
from tests.reports.examples import full_report, regression_report, report


def rendered(document: dict[str, Any], *, width: int = 80, colour: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, no_color=not colour, force_terminal=colour)
    render_report(document, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("make", [full_report, regression_report])
def test_it_fits_80_columns_without_colour(make: Any) -> None:
    text = rendered(make())
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "…" not in text  # no cell is cut
    for line in ("member 0", "mean of 5 members", "± sd over members", "average", "greedy"):
        assert line in text


def test_it_can_be_rendered_again_from_the_file() -> None:
    document = full_report()
    assert rendered(json.loads(json.dumps(document))) == rendered(document)


def test_warnings_are_marked_without_colour() -> None:
    assert "! 1 of 6 members failed" in rendered(full_report())
    assert "· There is no vote" in rendered(regression_report())


def test_many_members_stay_one_screen() -> None:
    document = report(classification(members=2))
    document["members"] = document["members"][:1] * 1000
    assert len(rendered(document).splitlines()) < 35


def test_names_are_neither_markup_nor_control() -> None:
    document = full_report()
    document["data"]["source"] = "[red]x[/red]\x1b[31m"
    document["combined"]["[bold]y\x1b[2J"] = document["combined"].pop("greedy")
    document["notes"] = ["[link=http://a]z\x07[/link]"]
    text = rendered(document)
    assert "[red]x[/red][31m" in text
    assert "[bold]y[2J" in text
    assert "[link=http://a]z[/link]" in text
    assert "\x07" not in text
    assert "\x1b[2J" not in rendered(document, colour=True)


def test_narrow_terminals_fold_names_and_keep_numbers() -> None:
    text = rendered(full_report(), width=56)
    assert f"{full_report()['combined']['average']['accuracy']:.4f}" in text
