"""``ensemble compare``."""

from __future__ import annotations

from pathlib import Path

import click

from ensemble.cli.options import json_option
from ensemble.cli.results import check_page, html_option, print_json, write_page


@click.command()
@click.argument("runs", metavar="RUN RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
@html_option
def compare(runs: tuple[Path, ...], as_json: bool, html: Path | None) -> None:
    """Set runs side by side, with paired tests where they were judged on the same test rows. Changes nothing."""
    from ensemble.runs.comparison import compare_runs
    from ensemble.runs.store import RunStore

    check_page(html)
    document = compare_runs([RunStore.open(run) for run in runs])
    if html is not None:
        from ensemble.reports.html import render_comparison

        write_page(html, render_comparison(document))
    if as_json:
        print_json(document)
        return
    from rich.console import Console

    from ensemble.reports.text import render_comparison as print_comparison

    print_comparison(document, Console())
