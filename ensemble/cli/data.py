"""``ensemble data``: what a source holds, before anything is trained on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ensemble.cli.options import SectionedCommand, field_options, json_option, merge
from ensemble.cli.results import print_json

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from ensemble.data.describe import Description

Figures = dict[str, int] | dict[str, float]

MOST_LINES = 20
"""Of classes or columns more than these, the rest is counted; ``--json`` has them all."""


@click.command(cls=SectionedCommand)
@click.argument("source", metavar="SOURCE")
@field_options("target", "task", "data_dir")
@json_option
def data(source: str, as_json: bool, **options: str | None) -> None:
    """Describe a data source: rows, shape, classes, scales, what is missing. Trains and writes nothing.

    SOURCE is a bundled name (digits, wine, …), a path, or MODULE:FUNCTION.
    """
    config = merge({"data": source, **options}).data
    from ensemble.data.describe import describe

    description = describe(config)
    if as_json:
        print_json(description.as_json())
        return
    from rich.console import Console

    Console().print(render(description))


def render(description: Description) -> RenderableType:
    """The description for people: an overview, then a table for each list in it. Names are never markup."""
    from rich.console import Group

    parts: list[RenderableType] = [_overview(description)]
    lists: dict[tuple[str, str], Figures] = {
        ("class", "rows"): description.classes,
        ("column", "categories"): description.categories,
        ("column", "missing cells"): description.missing,
        ("input of another scale", "standard deviation"): description.differing,
    }
    for names, values in lists.items():
        if values:
            parts += ["", _table(names, values)]
    return Group(*parts)


def _overview(description: Description) -> Table:
    from rich.table import Table
    from rich.text import Text

    from ensemble.reports.printable import printable

    rows = f"{description.rows['rows']:,}"
    if description.rows["test"]:
        rows += f", and {description.rows['test']:,} test rows of its own"
    lines = [
        ("source", description.source),
        ("rows", rows),
        ("a row", f"{' × '.join(map(str, description.shape))} {description.dtype}"),
        ("task", description.task + (f", {len(description.classes)} classes" if description.classes else "")),
        ("inputs", _summary(description.values)),
        ("target", _summary(description.target)),
        ("constant", _first(description.constant)),
        *(("note", note) for note in description.notes),
    ]
    grid = Table.grid(padding=(0, 2))
    for name, text in lines:
        if text:
            grid.add_row(Text(name, "dim"), Text(printable(text)))
    return grid


def _summary(figures: dict[str, float] | None) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items()) if figures else ""


def _first(names: tuple[str, ...]) -> str:
    more = f", and {len(names) - MOST_LINES:,} more" if len(names) > MOST_LINES else ""
    return ", ".join(names[:MOST_LINES]) + more


def _table(names: tuple[str, str], values: Figures) -> Table:
    from rich.table import Table
    from rich.text import Text

    from ensemble.reports.printable import printable

    table = Table(names[0], box=None, pad_edge=False, header_style="dim")
    table.add_column(names[1], justify="right")
    for name, value in list(values.items())[:MOST_LINES]:
        table.add_row(Text(printable(name)), f"{value:,}" if isinstance(value, int) else f"{value:.4g}")
    if len(values) > MOST_LINES:
        table.add_row(Text(f"and {len(values) - MOST_LINES:,} more", "dim"), "")
    return table
