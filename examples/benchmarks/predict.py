"""Predicting with members that are trained already: ours, and a loop over the same weights in plain torch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble import RunStore, load_networks
from ensemble.nets.build import build_net
from examples.benchmarks.cases import ROWS_PREDICTED, Case
from examples.benchmarks.outcome import Outcome
from examples.benchmarks.rows import CLASSES, Arrays, read

SECONDS = 1.0
"""For each number of rows: calls are repeated for so long, and their median is taken."""

Say = Callable[[NDArray[np.float32]], NDArray[Any]]


def ours(case: Case, path: Path, jobs: int) -> Outcome:
    """What `ensemble predict` calls: the average with its uncertainty."""
    networks = load_networks(RunStore.open(run_of(path)), "average")
    return _measured(
        lambda x: np.concatenate([part.probabilities for part in networks.predict(x)]), read(path)
    )


def loop(case: Case, path: Path, jobs: int) -> Outcome:
    """Each network after the other on all rows, then the mean of their probabilities."""
    import torch

    from examples.benchmarks import plain

    data, store = read(path), RunStore.open(run_of(path))
    # Files keep weights by name, so the order of the layers, the same in both, comes from a network.
    names = build_net(store.record.config.net, shape=data.shape, outputs=CLASSES, seed=0).state_dict()
    nets = []
    for record in map(store.member, range(case.members)):
        assert record is not None
        weights = store.weights(record)
        net = plain.make(case, data.shape).eval()
        pairs = zip(net.state_dict(), (torch.tensor(weights[name]) for name in names), strict=True)
        net.load_state_dict(dict(pairs))
        nets.append(net)

    @torch.inference_mode()
    def say(x: NDArray[np.float32]) -> NDArray[Any]:
        rows = torch.from_numpy(x)
        return torch.stack([net(rows).softmax(dim=1) for net in nets]).mean(dim=0).numpy()

    return _measured(say, data)


def run_of(path: Path) -> Path:
    """Where the members that predict lie: beside the rows."""
    return path.with_name("run")


def _measured(say: Say, data: Arrays) -> Outcome:
    many = np.resize(data.x_test, (max(ROWS_PREDICTED), *data.shape))
    measures = {f"ms_{rows}_rows": 1000 * _median_seconds(say, many[:rows]) for rows in ROWS_PREDICTED}
    accuracy = float((say(data.x_test).argmax(axis=1) == data.y_test).mean())
    return Outcome(None, None, measures | {"ensemble_accuracy": accuracy})


def _median_seconds(say: Say, x: NDArray[np.float32]) -> float:
    say(x)
    seconds: list[float] = []
    while sum(seconds) < SECONDS:
        begun = time.perf_counter()
        say(x)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)
