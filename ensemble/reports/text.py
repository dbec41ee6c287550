"""The report on a terminal: one table and a few sentences, legible at 80 columns and without colour."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ensemble.reports.summary import Report, notes, sentences, table, title, warnings

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


def _table(report: Report) -> Table:
    content = table(report)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=True, show_edge=True)
    first, *metrics = content.header
    drawn.add_column(first, overflow="fold")
    for metric in metrics:
        drawn.add_column(metric, justify="right", no_wrap=True)
    for row, following in zip(content.rows, (*content.rows[1:], content.rows[-1]), strict=True):
        cells = [Text(cell, style=STYLES[row.kind]) for cell in (row.name, *row.cells)]
        drawn.add_row(*cells, end_section=PARTS[row.kind] != PARTS[following.kind])
    return drawn
