"""``ensemble status``."""

from __future__ import annotations

from pathlib import Path

import click

from ensemble.cli.options import json_option
from ensemble.cli.results import print_json
from ensemble.reports.printable import printable


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@json_option
def status(run: Path, as_json: bool) -> None:
    """Show the members of a run, their progress and failures; while it runs and after it died."""
    from ensemble.runs.status import run_status
    from ensemble.runs.store import RunStore

    now = run_status(RunStore.open(run))
    if as_json:
        print_json(now.as_json())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ensemble.cli.progress_state import clock_time, figure

    held = f", by {now.held_by}" if now.held_by else ""
    click.echo(f"{printable(now.name)}: {now.state}{held}")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("member", "state", "epoch", "loss", "metric", "time", "attempts", "on"):
        table.add_column(name, no_wrap=name != "on")
    for member in now.members:
        table.add_row(
            f"{member.index:03d}",
            member.state,
            f"{member.epoch}/{member.epochs}",
            figure(member.loss),
            figure(member.metric),
            clock_time(member.seconds),
            str(member.attempts),
            Text(printable(member.failure or member.place or "")),
        )
    Console().print(table)
