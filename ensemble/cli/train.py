"""``ensemble train``."""

from __future__ import annotations

from pathlib import Path

import click

from ensemble.cli.options import SectionedCommand, json_option, quiet_option, run_options
from ensemble.cli.results import users_output_aside
from ensemble.cli.running import finish, say, watch
from ensemble.config import RunConfig
from ensemble.launch import train as launch
from ensemble.runs.place import new_run_directory


@click.command(cls=SectionedCommand)
@run_options
@click.option(
    "--run",
    "run",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Run directory.  [default: a new one]",
)
@json_option
@quiet_option
@click.pass_context
def train(ctx: click.Context, *, config: RunConfig, run: Path | None, as_json: bool, quiet: bool) -> None:
    """Train an ensemble, combine it, evaluate it, write the report."""
    directory = run or new_run_directory(config)
    with users_output_aside():
        report = launch(config, run=directory, watch=watch(quiet=quiet), say=say(quiet=quiet))
    finish(ctx, report, run=directory, as_json=as_json)
