"""The report on a terminal: one table and a few sentences, legible at 80 columns and without colour."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ensemble.reports.comparison import Comparison, paired, settings, side_by_side, verdicts
from ensemble.reports.summary import Report, notes, sentences, table, title, warnings
from ensemble.reports.summary import Table as Content

STYLES = {"member": "dim", "mean": "", "spread": "dim", "combined": "bold", "remark": "dim italic"}
PARTS = {"member": 0, "remark": 0, "mean": 1, "spread": 1, "combined": 2}
"""A rule stands between the members, their mean, and the combiners."""


def render_report(report: Report, console: Console) -> None:
    """Print the report of a ``report.json`` dict; names in it are never taken as markup or control."""
    console.print(Text(title(report), style="bold"))
    console.print(_table(report))
    for sentence in sentences(report):
        console.print(Text(sentence))
    for warning in warnings(report):
        console.print(Text.assemble(("! ", "bold yellow"), warning))
    for note in notes(report):
        console.print(Text(f"· {note}", style="dim"))


def render_comparison(found: Comparison, console: Console) -> None:
    """Print what `ensemble.runs.comparison.compare_runs` returns."""
    for content in (side_by_side(found, intervals=False), paired(found), settings(found)):
        if content is not None:
            console.print(Text(content.caption))
            console.print(_drawn(Content(content.header, content.rows)))
    for verdict in verdicts(found):
        console.print(Text(verdict))


def _table(report: Report) -> Table:
    return _drawn(table(report))


def _drawn(content: Content) -> Table:
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=True, show_edge=True)
    first, *metrics = content.header
    drawn.add_column(first, overflow="fold")
    for metric in metrics:
        drawn.add_column(metric, justify="right", no_wrap=True)
    for row, following in zip(content.rows, (*content.rows[1:], content.rows[-1]), strict=True):
        cells = [Text(cell, style=STYLES[row.kind]) for cell in (row.name, *row.cells)]
        drawn.add_row(*cells, end_section=PARTS[row.kind] != PARTS[following.kind])
    return drawn
