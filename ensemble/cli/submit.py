"""``ensemble submit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ensemble.cli.running import say
from ensemble.reports.printable import printable

if TYPE_CHECKING:
    from cluster.jobs import Job


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--address", required=True, metavar="URL", help="The cluster's dashboard: http://HOST:8265.")
@click.option(
    "--storage", metavar="ADDRESS|DIR", help="Where the run is kept: s3://…, or a path on the head."
)
@click.option("--insecure", is_flag=True, help="Submit to a cluster beyond this machine without a token.")
@click.option("--no-wait", is_flag=True, help="Print the job's ID, and do not follow it.")
@click.option("--follow", "followed", metavar="ID", help="Follow a job that was submitted earlier.")
@click.option("--stop", "stopped", metavar="ID", help="Stop a job; everything committed is safe.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- train …]")
@click.pass_context
def submit(
    ctx: click.Context,
    *,
    address: str,
    storage: str | None,
    insecure: bool,
    no_wait: bool,
    followed: str | None,
    stopped: str | None,
    command: tuple[str, ...],
) -> None:
    """Run train, resume or grow as a job on a Ray cluster, follow it, and end with its exit code.

    Your MODULE:FUNCTION and what relative paths name go along; absolute paths are looked for on the cluster's head.
    The run directory is made there, and kept at --storage too. Ctrl-C ends the following and not the job.
    """
    from cluster import find_job, submit_job
    from ensemble.cli.order import order_of

    if sum(map(bool, (command, followed, stopped))) != 1:
        raise click.UsageError("give one of: a command behind --, --follow ID, --stop ID")
    tell = say(quiet=False)
    if stopped or followed:
        job = find_job(address, stopped or followed or "", insecure=insecure, say=tell)
    else:
        order = order_of(command, storage=storage, insecure=insecure)
        job = submit_job(
            address,
            order.arguments,
            options=order.options,
            directory=Path.cwd(),
            new_run=order.new_run,
            insecure=insecure,
            say=tell,
        )
        tell(f"job {job.id} on {address}, which runs Ray {job.dashboard.version}")
    if stopped:
        _stop(job)
    elif no_wait:
        click.echo(job.id)
        tell(_later(job, insecure=insecure))
    else:
        ctx.exit(_follow(job, insecure=insecure))


def _follow(job: Job, *, insecure: bool) -> int:
    try:
        return job.follow(
            tell=lambda line: click.echo(printable(line), err=True),
            result=lambda line: click.echo(printable(line)),
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"no longer followed, and the job goes on; {_later(job, insecure=insecure)}"
        ) from None


def _stop(job: Job) -> None:
    before, after = job.state(), job.stop()
    click.echo(f"job {job.id}: {after.status.lower()}{' before it was told to' if before.ended else ''}")
    lines = job.log().strip().splitlines()
    click.echo(printable(lines[-1] if lines else "it wrote nothing"), err=True)


def _later(job: Job, *, insecure: bool) -> str:
    again = f"ensemble submit --address {job.dashboard.url}{' --insecure' if insecure else ''}"
    return f"follow it with `{again} --follow {job.id}`, stop it with `{again} --stop {job.id}`"
