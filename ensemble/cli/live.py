"""Progress on a terminal: a line a member, redrawn in place, and an overall bar with the time left."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ensemble.cli.progress_state import MemberRow, ProgressState, figure
from ensemble.reports.printable import printable
from ensemble.runs.pool import Message
from ensemble.training.events import Notice

MOST_MEMBERS = 15
"""With more members than this, those that wait or are done are only counted."""
MOST_FAILURES = 5
STYLES = {
    "waiting": "dim",
    "running": "cyan",
    "done": "green",
    "failed": "red",
    "diverged": "red",
    "cancelled": "yellow",
}


class LiveTable:
    """A view that draws itself anew a few times a second, so that the time left runs between messages too."""

    def __init__(self, state: ProgressState, *, metric: str, stream: TextIO) -> None:
        self._live = Live(
            get_renderable=lambda: render(state, metric=metric),
            console=Console(file=stream),
            refresh_per_second=4,
            redirect_stdout=False,  # results stay on standard output
            vertical_overflow="crop",
        )

    def start(self) -> None:
        self._live.start(refresh=True)

    def show(self, message: Message) -> None:
        """Put what the pool itself says above the table; the rest shows with the next drawing."""
        if isinstance(message.event, Notice):
            self._live.console.print(Text(printable(message.event.text)))

    def stop(self) -> None:
        self._live.stop()


def render(state: ProgressState, *, metric: str) -> RenderableType:
    """The display of a state: the members' table over the overall bar. Text of others is never markup."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("member", "state", "epoch"):
        table.add_column(name, no_wrap=True)
    for name in ("loss", metric, "rows/s"):
        table.add_column(name, no_wrap=True, justify="right")
    table.add_column("on", no_wrap=True, overflow="ellipsis")
    for row in shown(state):
        table.add_row(*_cells(row))
    bar = Table.grid(padding=(0, 2))
    bar.add_row(ProgressBar(total=1.0, completed=state.fraction, width=30), Text(state.overall))
    return Group(table, bar)


def shown(state: ProgressState) -> list[MemberRow]:
    """The rows worth a line: all of a few members; of many, those that run and the last failures."""
    if len(state.members) <= MOST_MEMBERS:
        return list(state.members)
    failed = [row for row in state.members if row.state in ("failed", "diverged")][-MOST_FAILURES:]
    running = [row for row in state.members if row.state == "running"]
    return sorted(failed + running, key=lambda row: row.index)


def _cells(row: MemberRow) -> list[Text]:
    state = row.state if row.attempts < 2 else f"{row.state} (attempt {row.attempts})"
    trouble = row.state in ("failed", "diverged", "cancelled")
    return [
        Text(f"{row.index:03d}"),
        Text(state, STYLES[row.state]),
        Text(f"{row.epoch}/{row.epochs}"),
        Text(figure(row.loss)),
        Text(figure(row.metric)),
        Text(figure(row.rows_per_second)),
        Text(row.failure, "red") if trouble else Text(row.place, "dim"),
    ]
