"""Milliseconds of a member's step, alone and in stacks: what the thresholds of ``--stack auto`` are fitted to.

    python -m examples.benchmarks.stacking [--out DIR] [--quick]

Mlps of several widths on random rows of the shapes of digits and of Fashion-MNIST, several batch sizes, one torch
thread. The first epoch is not counted.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from ensemble.config import make_config
from ensemble.data.dataset import Dataset, DataSpec
from ensemble.members.plan import MemberPlan, plan_members, resolve
from ensemble.training.events import Event, Progress
from ensemble.training.loop import train_member
from ensemble.training.memory import keep_freed_memory
from ensemble.training.stacked import train_stack
from examples.benchmarks import machine

CLASSES = 10
INPUTS = (64, 784)
WIDTHS = (16, 64, 128, 256)
BATCHES = (32, 64, 128, 256)
STACKS = (1, 2, 4, 8, 16, 32, 64)
STEPS = 20
"""Of an epoch."""
EPOCHS = 4
ROUNDS = 3
"""Each goes through all stacks of a network, so that a slow moment of the machine hits none of them alone."""
SECONDS = 8.0
"""Of one measurement: larger stacks of a network that took longer are left out."""


@dataclass(frozen=True)
class Point:
    """Attributes:
    inputs, hidden, batch: The network's inputs, the width of its two hidden layers, the rows of a step.
    stack: Members trained together; 1 is the loop for a member alone.
    milliseconds: Of a member's step: the median epoch's time over its steps and members, and of the rounds the median.
    """

    inputs: int
    hidden: int
    batch: int
    stack: int
    milliseconds: float


def random_rows(inputs: int, rows: int) -> Dataset:
    """Noise with labels; nothing of it is held out but two test rows, which the end of training wants."""
    rng = np.random.default_rng(0)
    spec = DataSpec(
        source="random",
        task="classification",
        shape=(inputs,),
        classes=tuple(map(str, range(CLASSES))),
        standardize="none",
        mean=(0.0,),
        std=(1.0,),
        sha256="random",
    )
    x = rng.standard_normal((rows + 2, inputs), dtype=np.float32)
    y = rng.integers(CLASSES, size=rows + 2)
    train, test = np.split(np.arange(rows + 2), [rows])
    return Dataset(spec, x, y, train, np.arange(0), test)


def plans_of(data: Dataset, *, hidden: int, batch: int, members: int) -> tuple[MemberPlan, ...]:
    """Of members with two hidden layers, batch norm and dropout."""
    options: dict[str, Any] = {"net": "mlp", "hidden": (hidden, hidden), "members": members, "epochs": EPOCHS}
    options |= {"batch_size": batch, "optimizer": "sgd", "valid": 0, "precision": "float32"}
    return plan_members(resolve(make_config(options), data.spec), data.spec)


def epoch_seconds(events: Iterator[Event], members: int) -> list[float]:
    """Time between the ends of one epoch and the next, when all members have told of it; the first is dropped.

    Raises:
        RuntimeError: a member diverged.
    """
    ends, told = [], 0
    for event in events:
        told += isinstance(event, Progress)
        if isinstance(event, Progress) and told % members == 0:
            ends.append(time.perf_counter())
        if len(ends) == EPOCHS:
            return [float(seconds) for seconds in np.diff(ends)]
    raise RuntimeError(f"{members} members told of {told} epochs, not of {members * EPOCHS}: one diverged")


def measure(inputs: int, hidden: int, batch: int, *, stack: int) -> float:
    """Train a stack (or a member alone) for a few epochs: milliseconds of a member's step."""
    data = random_rows(inputs, batch * STEPS)
    plans = plans_of(data, hidden=hidden, batch=batch, members=stack)
    # Checkpoints are not what is measured.
    endless = math.inf
    if stack == 1:
        events = train_member(plans[0], data, checkpoint_every=endless)
    else:
        events = chain.from_iterable(train_stack(plans, data, checkpoint_every=endless))
    return 1000 * statistics.median(epoch_seconds(iter(events), stack)) / STEPS / stack


def sweep(grid: Sequence[tuple[int, int, int]], stacks: Sequence[int]) -> Iterator[Point]:
    """All stacks of each network, up to where one takes too long: the medians of rounds through them."""
    for inputs, hidden, batch in grid:
        rounds: dict[int, list[float]] = {stack: [] for stack in stacks}
        for stack in [*stacks] * ROUNDS:
            if stack in rounds:
                found = measure(inputs, hidden, batch, stack=stack)
                rounds[stack].append(found)
                if found / 1000 * stack * STEPS * EPOCHS > SECONDS:
                    rounds = {size: times for size, times in rounds.items() if size <= stack}
        for stack, times in rounds.items():
            yield Point(inputs, hidden, batch, stack, statistics.median(times))


def table(points: Sequence[Point]) -> str:
    """A row a network: milliseconds alone, then the share of it that a member's step takes in each stack."""
    stacks = sorted({point.stack for point in points if point.stack > 1})
    lines = [
        f"{'inputs':>6} {'hidden':>6} {'batch':>5} {'alone ms':>9}"
        + "".join(f"{f'of {n}':>7}" for n in stacks)
    ]
    for network, found in by_network(points).items():
        shares = "".join(f"{found[n] / found[1]:7.2f}" if n in found else f"{'–':>7}" for n in stacks)
        lines.append("{:6} {:6} {:5} ".format(*network) + f"{found[1]:9.3f}{shares}")
    return "\n".join(lines)


def by_network(points: Sequence[Point]) -> dict[tuple[int, int, int], dict[int, float]]:
    """Milliseconds by stack, for each network and batch."""
    found: dict[tuple[int, int, int], dict[int, float]] = {}
    for point in points:
        found.setdefault((point.inputs, point.hidden, point.batch), {})[point.stack] = point.milliseconds
    return found


def draw(points: Sequence[Point], path: Path) -> None:
    """A panel an input width and batch size, a line a network: below 1, stacking is worth it."""
    from matplotlib.figure import Figure

    found = by_network(points)
    inputs, batches = (sorted({key[place] for key in found}) for place in (0, 2))
    size = (3 * len(batches) + 1.2, 2.6 * len(inputs) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(inputs), len(batches), sharex=True, sharey=True, squeeze=False)
    for (row, width), (column, batch) in product(enumerate(inputs), enumerate(batches)):
        axes = panels[row][column]
        for (of, hidden, rows), line in found.items():
            if (of, rows) == (width, batch):
                axes.plot(
                    list(line), [ms / line[1] for ms in line.values()], "o-", markersize=3, label=f"{hidden}"
                )
        axes.axhline(1, color="0.6", linewidth=1)
        axes.set_xscale("log", base=2)
        axes.set_title(f"{width} inputs, batch {batch}", fontsize=9)
    figure.legend(
        *panels[0][0].get_legend_handles_labels(), title="hidden", loc="outside right center", frameon=False
    )
    figure.supxlabel("members in a stack", fontsize=9)
    figure.supylabel("time of a member's step, alone = 1", fontsize=9)
    figure.savefig(path)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/stacking"), show_default=True)
@click.option("--quick", is_flag=True, help="One small network, to see that it runs.")
def main(out: Path, quick: bool) -> None:
    """Measure, print the table, and write stacking.json and stacking.svg."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as in a worker
    grid = [(64, 16, 32)] if quick else list(product(INPUTS, WIDTHS, BATCHES))
    points = []
    for point in sweep(grid, STACKS[:2] if quick else STACKS):
        points.append(point)
        click.echo(f"{point}", err=True)
    click.echo(table(points))
    out.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": machine.describe(),
        "steps": STEPS,
        "epochs": EPOCHS,
        "points": [asdict(p) for p in points],
    }
    (out / "stacking.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    draw(points, out / "stacking.svg")


if __name__ == "__main__":
    main()
