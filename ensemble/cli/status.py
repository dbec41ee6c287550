"""``ensemble status``."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ensemble.cli.options import json_option
from ensemble.cli.results import print_json
from ensemble.reports.printable import printable

if TYPE_CHECKING:
    from ensemble.runs.status import MemberStatus, RunStatus

MOST = 100
"""Of more members than these the table has those alone that are under way or failed."""


@click.command()
@click.argument("run", metavar="RUN")
@json_option
def status(run: str, as_json: bool) -> None:
    """Show the members of a run, their progress and failures; while it runs and after it died.

    RUN is a run directory, or the address of a storage, from whatever machine.
    """
    now = _look(run)
    if as_json:
        print_json(now.as_json())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ensemble.cli.progress_state import clock_time, figure

    held = f", by {now.held_by}" if now.held_by else ""
    left = f", {clock_time(now.seconds_left)} left" if now.seconds_left is not None else ""
    click.echo(printable(f"{now.name}: {now.state}{held}{left}"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("member", "state", "epoch", "loss", "metric", "time", "s/epoch", "attempts", "on"):
        table.add_column(name, no_wrap=name != "on")
    shown = now.members if len(now.members) <= MOST else _under_way(now.members)
    for member in shown:
        table.add_row(
            f"{member.index:03d}",
            member.state,
            f"{member.epoch}/{member.epochs}",
            figure(member.loss),
            figure(member.metric),
            clock_time(member.seconds),
            figure(member.seconds_per_epoch),
            str(member.attempts),
            Text(printable(member.failure or member.place or "")),
        )
    Console().print(table)
    if len(shown) < len(now.members):
        counts = Counter(member.state for member in now.members)
        said = ", ".join(f"{count:,} {state}" for state, count in counts.most_common())
        click.echo(f"{len(now.members):,} members: {said}. All of them: --json")


def _look(run: str) -> RunStatus:
    from ensemble.runs.status import run_status
    from ensemble.runs.storage import is_address
    from ensemble.runs.store import RunStore

    if not is_address(run):
        return run_status(RunStore.open(Path(run)))
    from ensemble.runs.fetching import glance

    with tempfile.TemporaryDirectory(prefix="ensemble-status-") as directory:
        held_by = glance(run, Path(directory))
        return run_status(RunStore.open(Path(directory)), held_by=held_by)


def _under_way(members: tuple[MemberStatus, ...]) -> tuple[MemberStatus, ...]:
    """Of very many those that somebody may want to do something about: all but what is done or waits."""
    return tuple(member for member in members if member.state not in ("done", "waiting"))[:MOST]
