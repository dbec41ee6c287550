"""The bound: as many plain processes as cores, one torch thread each, members dealt out among them beforehand."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from examples.benchmarks.cases import Case
from examples.benchmarks.outcome import Outcome, accuracies
from examples.benchmarks.rows import read


def run(case: Case, path: Path, jobs: int) -> Outcome:
    """Train in ``jobs`` processes; this one imports no torch and only adds up."""
    shares = [range(first, case.members, jobs) for first in range(min(jobs, case.members))]
    with ProcessPoolExecutor(len(shares), mp_context=get_context("spawn")) as pool:
        said = list(pool.map(partial(_train, case, path), shares))
    begun, ended, values = zip(*said, strict=True)
    return Outcome(min(begun), max(ended), accuracies(np.concatenate(values), read(path).y_test))


def _train(case: Case, path: Path, members: range) -> tuple[float, float, NDArray[Any]]:
    import torch

    from examples.benchmarks import plain

    torch.set_num_threads(1)
    data = read(path)
    x, y = plain.tensor(data.x), plain.tensor(data.y)
    nets = []
    begun = time.time()
    for member in members:
        torch.manual_seed(member)
        net = plain.make(case, data.shape)
        plain.train(net, case, x, y)
        nets.append(net)
    ended = time.time()
    return begun, ended, np.stack([plain.probabilities(net, data) for net in nets])
