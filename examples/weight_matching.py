"""The barrier between two independently trained networks, before and after their units are matched.

    python examples/weight_matching.py --out runs/matching [--data digits] [--net mlp] [--epochs 30]

Git Re-Basin (arXiv 2209.04836) reports a barrier near zero for wide mlps on MNIST. The loss is that of at most 10,000
validation rows, batch norm refreshed at every point of the line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ensemble import RunStore, make_config, train
from ensemble.data.dataset import Dataset
from ensemble.data.load import load_dataset
from ensemble.evaluation.metrics import accuracy_rows, loss_rows
from ensemble.members.plan import MemberPlan, plan_members
from ensemble.merging.barrier import barrier
from ensemble.runs.averaging import aligned
from ensemble.training.events import Scored, Weights
from ensemble.training.tasks import Score, run_task

MOST_ROWS = 10_000


def valid_predictions(weights: Weights, plan: MemberPlan, data: Dataset) -> Any:
    """What the network says of the validation rows, batch norm refreshed."""
    ((scored,),) = run_task(Score("line", plan, weights, ("valid",), refresh=True), data)
    assert isinstance(scored, Scored)
    return scored.predictions["valid"][:MOST_ROWS]


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/matching"), show_default=True)
@click.option("--data", default="digits", show_default=True)
@click.option("--net", default="mlp", show_default=True)
@click.option("--hidden", default=None, help="Widths of the network, as for ensemble train.")
@click.option("--batch-norm", default="none", show_default=True)
@click.option("--epochs", default=30, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--pool", default="ray", show_default=True)
def main(
    out: Path, data: str, net: str, hidden: str | None, batch_norm: str, epochs: int, seed: int, pool: str
) -> None:
    """Train two networks, match one to the other, and print the losses along both lines."""
    options = {"data": data, "net": net, "hidden": hidden, "batch_norm": batch_norm, "epochs": epochs}
    if out.exists():
        raise click.UsageError(f"{out} exists already; give another --out")
    config = make_config({**options, "seed": seed, "members": 2, "dropout": 0.0, "match": True, "pool": pool})
    report = train(config, run=out, say=click.echo)

    store = RunStore.open(out)
    rows = load_dataset(store.record.config.data, seed=seed)
    plan = plan_members(store.record.config, store.spec)[0]
    records = [record for record in map(store.member, (0, 1)) if record is not None]
    a, b = (store.weights(record) for record in records)
    targets = rows.y[rows.valid][:MOST_ROWS]

    def loss(weights: Weights) -> float:
        said = valid_predictions(weights, plan, rows)
        return float(loss_rows(said, targets, task=store.spec.task).mean())

    first, second = aligned([a, b], plan)
    lines = {"without matching": barrier(a, b, loss), "matched": barrier(first, second, loss)}
    for name, line in lines.items():
        losses = "  ".join(f"{value:.4f}" for value in line.losses)
        click.echo(f"{name:17} losses at α = 0 … 1: {losses}   barrier {line.height:.4f}")
    accuracies = {
        name: report["combined"][name]["accuracy"] for name in ("parameters", "parameters/unmatched")
    }
    single = accuracy_rows(valid_predictions(a, plan, rows), targets).mean()
    click.echo(f"validation accuracy of one network {single:.4f}")
    click.echo(
        f"test accuracy: mean member {report['single']['accuracy']['mean']:.4f}, averaged parameters "
        f"{accuracies['parameters/unmatched']:.4f}, matched {accuracies['parameters']:.4f}"
    )
    document = {name: vars(line) for name, line in lines.items()} | {"test_accuracy": accuracies}
    (out / "matching.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":  # Ray's workers import this module
    main()
