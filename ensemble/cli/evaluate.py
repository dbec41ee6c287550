"""``ensemble evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from ensemble.cli.options import json_option
from ensemble.cli.results import check_page, html_option, print_report, users_output_aside, write_page
from ensemble.reports.printable import printable


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--data", metavar="SOURCE", help="New labelled data.  [default: the run's own test rows]")
@click.option("--data-dir", metavar="DIR", help="Where the files of a named data set lie.")
@click.option(
    "--net", metavar="MODULE:FUNCTION", help="Your own network again, where the run was made with one."
)
@click.option("--loss", metavar="MODULE:FUNCTION", help="Your own loss again; it is checked, not needed.")
@json_option
@html_option
def evaluate(
    run: Path,
    data: str | None,
    data_dir: str | None,
    net: str | None,
    loss: str | None,
    as_json: bool,
    html: Path | None,
) -> None:
    """Evaluate every combiner of a run, on its own test rows or on new labelled data beside them. Changes nothing."""
    from ensemble.runs.functions import check_function
    from ensemble.runs.store import RunStore

    check_page(html)
    store = RunStore.open(run)
    if loss is not None:
        check_function(store, "loss", loss)
    if data is None:
        from ensemble.runs.publishing import saved_images
        from ensemble.runs.reporting import make_report

        report = make_report(store)
        images = saved_images(store) if html else {}
    else:
        from ensemble.data.load import load_rows
        from ensemble.runs.evaluation import evaluate_rows, images_of

        check_function(store, "net", net)
        with users_output_aside():
            rows = load_rows(data, store.spec, labelled=True, data_dir=data_dir)
            if rows.note:
                click.echo(printable(rows.note), err=True)
            report = evaluate_rows(store, rows, source=data)
        images = images_of(store, rows, report) if html else {}
    if html is not None:
        from ensemble.reports.html import render_html

        write_page(html, render_html(report, images))
    print_report(report, as_json=as_json)
