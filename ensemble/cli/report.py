"""``ensemble report``."""

from __future__ import annotations

from pathlib import Path

import click

from ensemble.cli.options import json_option
from ensemble.cli.results import markdown_option, print_report


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@json_option
@markdown_option
def report(run: Path, as_json: bool, as_markdown: bool) -> None:
    """Rewrite report.json and report.html from what the run holds, and print the report."""
    from ensemble.runs.publishing import publish
    from ensemble.runs.reporting import make_report
    from ensemble.runs.store import RunStore

    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown are two forms of one output; give one of them")
    store = RunStore.open(run)
    with store.hold():
        document = make_report(store)
        publish(store, document)
    print_report(document, as_json=as_json, as_markdown=as_markdown, run=run)
