"""The command ``ensemble``: which commands there are, and what becomes of an error.

Commands are named here and imported when they are called, so that ``ensemble --help`` imports nothing heavy.
"""

from __future__ import annotations

import gc
import os
import select
import sys
from importlib import import_module, metadata
from typing import Any

import click

from ensemble.errors import EnsembleError
from ensemble.reports.printable import printable

COMMANDS: dict[str, tuple[str, str]] = {
    "train": ("ensemble.cli.train:train", "Train an ensemble, combine it, evaluate it, write the report."),
    "resume": ("ensemble.cli.resume:resume", "Finish an interrupted run."),
    "grow": ("ensemble.cli.resume:grow", "Add members to a run; the others stay as they are."),
    "status": ("ensemble.cli.status:status", "Show the members of a run, their progress and failures."),
    "evaluate": (
        "ensemble.cli.evaluate:evaluate",
        "Evaluate every combiner on test rows or new labelled data.",
    ),
    "report": ("ensemble.cli.report:report", "Rewrite the report from what a run holds."),
    "compare": (
        "ensemble.cli.compare:compare",
        "Set runs side by side, paired where test rows are the same.",
    ),
    "predict": ("ensemble.cli.predict:predict", "Write predictions with uncertainty for new rows."),
    "submit": ("ensemble.cli.submit:submit", "Train as a job on a Ray cluster."),
    "data": ("ensemble.cli.data:data", "Describe a data source."),
}
"""Name → (``module:attribute``, the line in ``ensemble --help``), in the order of the help."""

INTERRUPTED = 130
READER_LEFT = 141
"""What a shell reports of a program that writes to a closed pipe: 128 + SIGPIPE."""


COLLECTED_AFTER = 10_000
"""Objects that may come to be before Python looks for cycles among them, instead of 700: it finds next to none, neither
where networks are trained nor where thousands of manifests are read, and looking took a fortieth of the time."""


class LazyGroup(click.Group):
    """The table above as a Click group, and the one place where an exception becomes an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the commands are {', '.join(COMMANDS)}"
            ctx.fail(f"No such command {printable(args[0])!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a closed pipe shows here, not in the interpreter's last breath
            return result
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except EnsembleError as error:
            click.echo(f"error: {printable(str(error))}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt as stopped:
            click.echo(str(stopped) or "interrupted", err=True)
            ctx.exit(getattr(stopped, "exit_code", INTERRUPTED))
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _reader_left():
                ctx.exit(READER_LEFT)
            _report_bug(error)
            ctx.exit(EnsembleError.exit_code)


def _reader_left() -> bool:
    """Whether standard output is a pipe that nobody reads any more; the rest then goes nowhere, quietly."""
    try:
        stdout = sys.stdout.fileno()
    except (OSError, ValueError):
        return False  # not a file at all
    watch = select.poll()
    watch.register(stdout, 0)
    left = any(state & (select.POLLERR | select.POLLHUP) for _, state in watch.poll(0))
    if left:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), stdout)
    return left


def _report_bug(error: Exception) -> None:
    from traceback import format_exception

    click.echo(printable("".join(format_exception(error))), err=True, nl=False)
    click.echo(
        f"error: unexpected {type(error).__name__}: this is a bug in ensemble, not in what you typed; "
        "please report it with the traceback above",
        err=True,
    )


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    try:
        version = metadata.version("ensemble-trainer")
    except metadata.PackageNotFoundError:
        version = "(run from its source, not installed)"
    click.echo(f"ensemble {version}")
    ctx.exit()


@click.command(cls=LazyGroup, context_settings={"max_content_width": 110})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Train, combine and honestly evaluate ensembles of PyTorch networks, on a laptop or a Ray cluster."""


def main() -> None:
    """The console script."""
    gc.set_threshold(COLLECTED_AFTER)
    cli(prog_name="ensemble")


if __name__ == "__main__":
    main()
