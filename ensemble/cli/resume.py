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
    "resources",
    "cpu_nodes",
    "retries",
    "min_members",
    "checkpoint_every",
    "storage",
    "silence",
)
"""What may be given again: code of the user's own, and where and how members are trained."""


run_argument = click.argument("run", metavar="RUN")
into_option = click.option(
    "--run",
    "into",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where RUN is fetched to, if it is the address of a storage.  [default: a new one]",
)
strict_option = click.option(
    "--strict", is_flag=True, help="Refuse to go on under other hardware, threads or versions than before."
)


@click.command()
@run_argument
@into_option
@field_options(*AGAIN)
@strict_option
@json_option
@quiet_option
@click.pass_context
def resume(
    ctx: click.Context,
    /,
    run: str,
    into: Path | None,
    strict: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Finish an interrupted run; a finished one is left as it is.

    Members that are done are not touched, the others go on from their last checkpoint. Options not given stay as the
    run was made with; MODULE:FUNCTION of your own has to be named again. RUN is a run directory, or the address of a
    storage: then the run is fetched first, and kept there further on.
    """
    directory, options = _at_hand(run, into, options, quiet=quiet)
    with users_output_aside():
        report = launch.resume(
            directory, watch=watch(quiet=quiet), say=say(quiet=quiet), options=options, strict=strict
        )
    finish(ctx, report, run=directory, as_json=as_json)


@click.command()
@run_argument
@click.option("--add", type=click.IntRange(min=1), required=True, metavar="N", help="How many members.")
@into_option
@field_options(*AGAIN)
@strict_option
@json_option
@quiet_option
@click.pass_context
def grow(
    ctx: click.Context,
    /,
    run: str,
    into: Path | None,
    add: int,
    strict: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Add members to a run; the others stay bit for bit what they are."""
    directory, options = _at_hand(run, into, options, quiet=quiet)
    with users_output_aside():
        report = launch.grow(
            directory, add=add, watch=watch(quiet=quiet), say=say(quiet=quiet), options=options, strict=strict
        )
    finish(ctx, report, run=directory, as_json=as_json)


def _at_hand(
    run: str, into: Path | None, options: dict[str, Any], *, quiet: bool
) -> tuple[Path, dict[str, Any]]:
    """The run directory, fetched where ``run`` is an address, and the options, which then name that storage."""
    from ensemble.runs.storage import is_address

    if not is_address(run):
        if into is not None:
            raise click.UsageError(
                f"--run is where the address of a storage is fetched to, but {run!r} is none"
            )
        return Path(run), options
    directory = launch.fetched(run, into=into, say=say(quiet=quiet))
    return directory, {**options, "storage": options["storage"] or run}
