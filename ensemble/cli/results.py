"""How a command hands over its result: a table for people, Markdown, one JSON document, a page."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import click

from ensemble.errors import UsageError
from ensemble.reports.printable import printable

markdown_option = click.option(
    "--markdown", "as_markdown", is_flag=True, help="Markdown on standard output, for a pull request."
)
html_option = click.option(
    "--html",
    "html",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the same as a page to look at.",
)


@contextmanager
def users_output_aside() -> Iterator[None]:
    """While code of the user's own may run: what it prints goes to standard error, which keeps our results whole."""
    with redirect_stdout(sys.stderr):
        yield


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def print_report(
    report: dict[str, Any], *, as_json: bool, as_markdown: bool = False, run: Path | None = None
) -> None:
    """A report on standard output, and where the run and its page lie."""
    if as_json:
        print_json(report if run is None else {**report, "run": str(run)})
        return
    if as_markdown:
        from ensemble.reports.markdown import render_markdown

        click.echo(render_markdown(report), nl=False)
        return
    from rich.console import Console

    from ensemble.reports.text import render_report

    render_report(report, Console())
    if run is not None:
        click.echo(f"\nRun directory: {printable(str(run))}")
        click.echo(f"The same to look at: {printable(str(run / 'report.html'))}")


def check_page(path: Path | None) -> None:
    """Refuse a page that could not be written, before there is one.

    Raises:
        UsageError: the directory is missing.
    """
    if path is not None and not path.absolute().parent.is_dir():
        raise UsageError(f"--html is {str(path)!r}, but there is no directory {str(path.parent)!r}")


def write_page(path: Path, page: str) -> None:
    """Write a page, whole or not at all, and say where."""
    from ensemble.runs.atomic import commit

    commit(path, page.encode())
    click.echo(f"Page: {printable(str(path))}", err=True)
