"""``ensemble resume`` and ``ensemble grow``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ensemble import launch
from ensemble.cli.options import field_options, json_option, quiet_option
from ensemble.cli.results import users_output_aside
from ensemble.cli.running import finish, say, watch

AGAIN = (
    "data",
    "data_dir",
    "net",
    "loss",
    "pool",
    "address",
    "insecure",
    "workers",
    "gpus_per_member",
    "retries",
    "min_members",
    "checkpoint_every",
    "silence",
)
"""What may be given again: code of the user's own, and where and how members are trained."""


strict_option = click.option(
    "--strict", is_flag=True, help="Refuse to go on under other hardware, threads or versions than before."
)


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@field_options(*AGAIN)
@strict_option
@json_option
@quiet_option
@click.pass_context
def resume(
    ctx: click.Context, /, run: Path, strict: bool, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Finish an interrupted run; a finished one is left as it is.

    Members that are done are not touched, the others go on from their last checkpoint. Options not given stay as the
    run was made with; MODULE:FUNCTION of your own has to be named again.
    """
    with users_output_aside():
        report = launch.resume(
            run, watch=watch(quiet=quiet), say=say(quiet=quiet), options=options, strict=strict
        )
    finish(ctx, report, run=run, as_json=as_json)


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--add", type=click.IntRange(min=1), required=True, metavar="N", help="How many members.")
@field_options(*AGAIN)
@strict_option
@json_option
@quiet_option
@click.pass_context
def grow(
    ctx: click.Context, /, run: Path, add: int, strict: bool, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Add members to a run; the others stay bit for bit what they are."""
    with users_output_aside():
        report = launch.grow(
            run, add=add, watch=watch(quiet=quiet), say=say(quiet=quiet), options=options, strict=strict
        )
    finish(ctx, report, run=run, as_json=as_json)
