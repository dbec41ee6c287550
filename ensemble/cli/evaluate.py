"""``ensemble evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from ensemble.cli.options import json_option
from ensemble.cli.results import print_report
from ensemble.reports.printable import printable


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--data", metavar="SOURCE", help="New labelled data.  [default: the run's own test rows]")
@click.option("--data-dir", metavar="DIR", help="Where the files of a named data set lie.")
@click.option(
    "--net", metavar="MODULE:FUNCTION", help="Your own network again, where the run was made with one."
)
@json_option
def evaluate(run: Path, data: str | None, data_dir: str | None, net: str | None, as_json: bool) -> None:
    """Evaluate every combiner of a run, on its own test rows or on new labelled data. Changes nothing."""
    from ensemble.runs.store import RunStore

    store = RunStore.open(run)
    if data is None:
        from ensemble.runs.reporting import make_report

        print_report(make_report(store), as_json=as_json)
        return
    from ensemble.data.load import load_rows
    from ensemble.runs.evaluation import evaluate_rows
    from ensemble.runs.functions import check_function

    check_function(store, "net", net)
    rows = load_rows(data, store.spec, labelled=True, data_dir=data_dir)
    if rows.note:
        click.echo(printable(rows.note), err=True)
    print_report(evaluate_rows(store, rows, source=data), as_json=as_json)
