"""How a command hands over its result: a table for people, or one JSON document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ensemble.reports.printable import printable


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def print_report(report: dict[str, Any], *, as_json: bool, run: Path | None = None) -> None:
    """A report on standard output, and where the run lies."""
    if as_json:
        print_json(report if run is None else {**report, "run": str(run)})
        return
    from rich.console import Console

    from ensemble.reports.text import render_report

    render_report(report, Console())
    if run is not None:
        click.echo(f"\nRun directory: {printable(str(run))}")
