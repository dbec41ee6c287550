"""``ensemble report``."""

from __future__ import annotations

from pathlib import Path

import click

from ensemble.cli.options import json_option
from ensemble.cli.results import print_report


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@json_option
def report(run: Path, as_json: bool) -> None:
    """Rewrite report.json from what the run holds, and print it."""
    from ensemble.runs.reporting import make_report
    from ensemble.runs.store import RunStore

    store = RunStore.open(run)
    with store.hold():
        document = make_report(store)
        store.save_report(document)
    print_report(document, as_json=as_json, run=run)
