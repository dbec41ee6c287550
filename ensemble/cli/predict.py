"""``ensemble predict``."""

from __future__ import annotations

from pathlib import Path

import click

from ensemble.cli.results import users_output_aside
from ensemble.reports.printable import printable


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--data", metavar="SOURCE", required=True, help="Rows to predict.")
@click.option(
    "--out", metavar="FILE", required=True, help="FILE.csv, FILE.parquet, FILE.npz, or - for CSV here."
)
@click.option(
    "--combine",
    type=click.Choice(["average", "vote", "parameters", "greedy"]),
    help="How members are combined.  [default: as the run was told]",
)
@click.option(
    "--dropout-samples",
    type=click.IntRange(min=0),
    metavar="N",
    help="Stochastic passes of each network, dropout on.  [default: as the run was told]",
)
@click.option(
    "--force", is_flag=True, help="Predict with averaged parameters even where that is ill-advised."
)
@click.option("--data-dir", metavar="DIR", help="Where the files of a named data set lie.")
@click.option(
    "--net", metavar="MODULE:FUNCTION", help="Your own network again, where the run was made with one."
)
@click.option("--loss", metavar="MODULE:FUNCTION", help="Your own loss again; it is checked, not needed.")
def predict(
    run: Path,
    data: str,
    out: str,
    combine: str | None,
    dropout_samples: int | None,
    force: bool,
    data_dir: str | None,
    net: str | None,
    loss: str | None,
) -> None:
    """Predict new rows with uncertainty, and write a table."""
    from ensemble.data.stream import RowStream
    from ensemble.reports.prediction_files import STANDARD_OUTPUT, PredictionWriter
    from ensemble.runs.functions import check_function
    from ensemble.runs.prediction import CHUNK, load_networks
    from ensemble.runs.store import RunStore

    store = RunStore.open(run)
    check_function(store, "net", net)
    if loss is not None:
        check_function(store, "loss", loss)
    with PredictionWriter(out) as writer, users_output_aside():
        combiner = combine or store.record.config.ensemble.combine
        networks = load_networks(store, combiner, force=force, dropout_samples=dropout_samples)
        rows = RowStream(data, store.spec, piece=CHUNK, data_dir=data_dir)
        for x in rows:
            for table in networks.predict(x, first_row=rows.rows - len(x)):
                writer.write(table)
    if rows.note:
        click.echo(printable(rows.note), err=True)
    if out != STANDARD_OUTPUT:
        click.echo(f"{rows.rows:,} rows predicted by {networks.described}: {out}", err=True)
