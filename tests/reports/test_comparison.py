from __future__ import annotations

import io

from rich.console import Console

from ensemble.reports.comparison import paired, settings, side_by_side, verdicts
from ensemble.reports.text import render_comparison
from tests.reports.test_html import comparison


def test_a_pair_that_cannot_be_told_apart_is_not_ranked() -> None:
    found = comparison()
    found["tests"][0]["difference"]["accuracy"]["ci95"] = [-0.1, 0.2]
    assert verdicts(found)[0].startswith("These test rows cannot tell A and B apart")


def test_lower_is_better_for_numbers() -> None:
    found = comparison(task="regression")
    found["tests"][0]["difference"] = {"rmse": {"value": -2.0, "ci95": [-3.0, -1.0]}}
    assert verdicts(found)[0].startswith("A is better than B by RMSE")


def test_many_pairs_are_said_to_be_many() -> None:
    found = comparison()
    found["tests"] *= 2
    assert "2 pairs were tested; neither intervals nor p are corrected for that." in verdicts(found)


def test_no_pairs_and_no_differences_make_no_tables() -> None:
    assert paired(comparison(tests=[])) is None
    assert settings(comparison(differing={})) is None


def test_the_table_of_the_terminal_fits_80_columns() -> None:
    found = comparison()
    for run in found["runs"]:
        run["name"] = "20261122-101500-digits-convnet"
    console = Console(file=io.StringIO(), width=80)
    render_comparison(found, console)
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue()
    assert "…" not in drawn.partition("Paired tests")[0]
    assert (
        len(side_by_side(found, intervals=True).header)
        == len(side_by_side(found, intervals=False).header) + 1
    )
