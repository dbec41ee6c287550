"""The table with which the lecture on training neural networks ends, measured on Fashion-MNIST.

    python examples/lecture_table.py --out runs/lecture [--seeds 3] [--quick]

For each seed three runs, each with the functions behind ``ensemble train``: ten members; one member with dense
snapshots along its run; one member with cyclic snapshots. Their reports hold the rows. Nothing is chosen by test rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from ensemble import RunStore, make_config, resume, train

LECTURE = {
    "single model": 0.837,
    "members averaged": 0.855,
    "members voted": 0.851,
    "snapshots averaged": 0.865,
    "snapshots voted": 0.861,
    "snapshots' parameters averaged": 0.864,
}
"""CS 182: a small conv net; 10 members and 25 snapshots over 10 epochs; the data set is not named."""


def runs_of(seed: int, *, quick: bool, pool: str) -> dict[str, dict[str, Any]]:
    """The options of the three runs."""
    epochs, members = (2, 3) if quick else (10, 10)
    net = {"net": "lenet", "hidden": (4, 8, 16, 32), "epochs": epochs, "seed": seed, "pool": pool}
    common = {"data": "digits" if quick else "fashion-mnist", **net}
    return {
        "members": {**common, "members": members},
        "snapshots": {**common, "members": 1, "snapshots": 5 if quick else 25, "schedule": "linear"},
        "cycles": {**common, "members": 1, "snapshots": 2 if quick else 5, "schedule": "cyclic"},
    }


def report_of(options: dict[str, Any], run: Path) -> dict[str, Any]:
    """Train, or finish, or take as it is: the script goes on where it was stopped."""
    if run.exists():
        check_same(options, run)
        return resume(run, say=click.echo)
    return train(make_config(options), run=run, say=click.echo)


def check_same(options: dict[str, Any], run: Path) -> None:
    """Refuse to take an older run of other options for this one."""
    asked, there = make_config(options).flat(), RunStore.open(run).record.config.flat()
    other = [name for name in options if name != "pool" and asked[name] != there[name]]
    if other:
        raise click.UsageError(f"{run} was made with another {other[0]}; give another --out")


def rows_of(reports: dict[str, dict[str, Any]], epochs: int) -> Iterator[tuple[str, int, float]]:
    """Name, epochs trained in total, and test accuracy of each row."""
    members, count = reports["members"], len(reports["members"]["members"])
    yield "single model", epochs, members["single"]["accuracy"]["mean"]
    yield "members averaged", epochs * count, members["combined"]["average"]["accuracy"]
    yield "members voted", epochs * count, members["combined"]["vote"]["accuracy"]
    for run, name in (("snapshots", "snapshots"), ("cycles", "cyclic snapshots")):
        combined = reports[run]["combined"]
        yield f"{name} averaged", epochs, combined["snapshots/average"]["accuracy"]
        yield f"{name} voted", epochs, combined["snapshots/vote"]["accuracy"]
        yield f"{name}' parameters averaged", epochs, combined["snapshots/parameters"]["accuracy"]
    yield "members' parameters averaged", epochs * count, members["combined"]["parameters"]["accuracy"]


def draw(table: list[dict[str, Any]], path: Path) -> None:
    """The table as a figure: a dot a seed, a bar at the mean."""
    from matplotlib.figure import Figure

    shown = [row for row in table if row["mean"] > 0.5]
    figure = Figure(figsize=(7, 0.45 * len(shown) + 1.2), layout="constrained")
    axes = figure.subplots()
    for y, row in enumerate(reversed(shown)):
        axes.plot(row["accuracy"], [y] * len(row["accuracy"]), "o", color="0.6", markersize=4)
        axes.plot([row["mean"]], [y], "|", color="C0", markersize=16, markeredgewidth=3)
    axes.set_yticks(range(len(shown)), [f"{row['row']} ({row['epochs']} epochs)" for row in reversed(shown)])
    axes.set_xlabel("test accuracy")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/lecture"), show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--quick", is_flag=True, help="A minute on digits instead: to see that it works.")
@click.option("--pool", default="ray", show_default=True)
def main(out: Path, seeds: int, quick: bool, pool: str) -> None:
    """Train, print the table, and write lecture_table.json and lecture_table.svg."""
    accuracy: dict[str, list[float]] = {}
    epochs: dict[str, int] = {}
    for seed in range(seeds):
        plans = runs_of(seed, quick=quick, pool=pool)
        reports = {name: report_of(options, out / f"{name}-{seed}") for name, options in plans.items()}
        for name, total, value in rows_of(reports, plans["members"]["epochs"]):
            accuracy.setdefault(name, []).append(value)
            epochs[name] = total
    table = [
        {
            "row": name,
            "epochs": epochs[name],
            "accuracy": values,
            "mean": float(np.mean(values)),
            "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "lecture": LECTURE.get(name),
        }
        for name, values in accuracy.items()
    ]
    click.echo(f"\n{'':32} {'epochs':>6} {'accuracy':>9} {'± sd':>7} {'lecture':>8}   (n = {seeds})")
    for row in table:
        sd = "–" if row["sd"] is None else f"{row['sd']:.4f}"
        lecture = "" if row["lecture"] is None else f"{row['lecture']:.3f}"
        click.echo(f"{row['row']:32} {row['epochs']:6} {row['mean']:9.4f} {sd:>7} {lecture:>8}")
    environment = RunStore.open(out / "members-0").report()["environment"]
    document = {"seeds": seeds, "quick": quick, "environment": environment, "rows": table}
    (out / "lecture_table.json").write_text(json.dumps(document, indent=2) + "\n")
    draw(table, out / "lecture_table.svg")


if __name__ == "__main__":  # Ray's workers import this module
    main()
