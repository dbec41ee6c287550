"""What ``train``, ``resume`` and ``grow`` share: the display while members train, and the end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from ensemble.cli.results import print_report
from ensemble.config import RunConfig, Task
from ensemble.launch import Observer, Watch
from ensemble.reports.printable import printable

SOME_FAILED = 3


def watch(*, quiet: bool) -> Watch:
    """Opens the progress display of a run."""

    def show(config: RunConfig, task: Task, finished: frozenset[int]) -> AbstractContextManager[Observer]:
        from ensemble.cli.progress import show_progress

        members, epochs = config.ensemble.members, config.train.epochs
        return show_progress(members=members, epochs=epochs, task=task, quiet=quiet, finished=finished)

    return show


def say(*, quiet: bool) -> Callable[[str], None]:
    """Puts a sentence on standard error."""

    def put(line: str) -> None:
        if not quiet:
            click.echo(printable(line), err=True)

    return put


def finish(ctx: click.Context, report: dict[str, Any], *, run: Path, as_json: bool) -> None:
    """Print the report; end with the exit code that says whether every member is in it."""
    print_report(report, as_json=as_json, run=run)
    if any(member["status"] != "done" for member in report["members"]):
        ctx.exit(SOME_FAILED)
