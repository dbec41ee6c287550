"""`ensemble data`: a table for people, a document for programs, refusals with their codes."""

import io
import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from ensemble.cli.data import MOST_LINES, render
from ensemble.cli.main import cli
from ensemble.data.describe import Description

RUN = CliRunner()


def drawn(**changes) -> str:
    plain = {
        "source": "people.csv",
        "rows": {"rows": 1200, "test": 0},
        "shape": (3,),
        "dtype": "table",
        "task": "classification",
        "classes": {"no": 900, "yes": 300},
        "target": None,
        "values": {"min": 0.0, "mean": 1.0, "std": 0.5, "max": 2.0},
        "differing": {},
        "constant": (),
        "categories": {},
        "missing": {},
        "notes": (),
    }
    console = Console(file=io.StringIO(), width=100)
    console.print(render(Description(**(plain | changes))))
    return console.file.getvalue()


def test_json_is_one_document_on_standard_output():
    result = RUN.invoke(cli, ["data", "iris", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["rows"]["rows"] == 150
    assert document["task"] == "classification"
    assert sum(document["classes"].values()) == 150


def test_the_table_says_rows_shape_and_classes():
    result = RUN.invoke(cli, ["data", "iris"])
    assert result.exit_code == 0, result.output
    for text in ("150", "classification, 3 classes", "setosa"):
        assert text in result.stdout


def test_options_reach_the_source():
    result = RUN.invoke(cli, ["data", "diabetes", "--json", "--task", "regression"])
    document = json.loads(result.stdout)
    assert document["task"] == "regression"
    assert document["classes"] == {}
    assert document["target"]["max"] == 346


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such-file.csv", "--target", "y"], "no-such-file.csv"),
        (["digitz"], "digits"),
        (["digits", "--task", "clasification"], "--task is 'clasification'"),
        ([], "SOURCE"),
    ],
)
def test_what_cannot_be_described_is_refused_with_2(arguments, words):
    result = RUN.invoke(cli, ["data", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_everything_that_differs_is_shown():
    text = drawn(
        differing={"income": 12345.6},
        constant=("planet",),
        categories={"town": 7},
        missing={"age": 12},
        notes=("task: classification",),
        rows={"rows": 1200, "test": 300},
    )
    for part in (
        "1,200, and 300 test rows",
        "1.235e+04",
        "planet",
        "town",
        "7",
        "age",
        "12",
        "task: classification",
    ):
        assert part in text


def test_nothing_is_said_of_what_is_not_there():
    text = drawn()
    for name in ("missing", "categories", "scale", "constant", "target", "note"):
        assert name not in text


def test_names_are_neither_markup_nor_control():
    text = drawn(classes={"[bold]a[/nothing]": 1, "b\x1b[2J": 2}, constant=("\x07bell",))
    assert "[bold]a[/nothing]" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_long_lists_are_counted():
    text = drawn(classes={f"class {number}": 1 for number in range(MOST_LINES + 1000)})
    assert "and 1,000 more" in text
    assert f"class {MOST_LINES}" not in text
