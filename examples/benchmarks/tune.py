"""Ray Tune: a trial a member, one CPU each, the data shared through the object store, one checkpoint at the end."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray  # noqa: TID251
import torch
from ray import tune  # noqa: TID251

from examples.benchmarks import plain
from examples.benchmarks.cases import Case
from examples.benchmarks.outcome import Outcome, accuracies
from examples.benchmarks.rows import Arrays, read


def trial(config: dict[str, Any], *, case: Case, data: Arrays) -> None:
    """Train a member in the plain loop; its weights go home as a checkpoint, since nothing else does."""
    torch.manual_seed(config["member"])
    net = plain.make(case, data.shape)
    begun = time.time()
    plain.train(net, case, plain.tensor(data.x), plain.tensor(data.y))
    ended = time.time()
    with tempfile.TemporaryDirectory() as directory:
        torch.save(net.state_dict(), Path(directory) / "weights.pt")
        checkpoint = tune.Checkpoint.from_directory(directory)
        tune.report({"begun": begun, "ended": ended}, checkpoint=checkpoint)


def run(case: Case, path: Path, jobs: int) -> Outcome:
    """As many trials at once as there are jobs."""
    data = read(path)
    # "local": never a cluster that happens to run on this machine.
    ray.init("local", num_cpus=jobs, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as storage:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(trial, case=case, data=data), {"cpu": 1}),
            param_space={"member": tune.grid_search(list(range(case.members)))},
            run_config=tune.RunConfig(storage_path=storage, verbose=0),
        )
        grid = tuner.fit()
        if grid.errors:
            raise RuntimeError(f"{len(grid.errors)} of {case.members} trials failed: {grid.errors[0]}")
        results = [grid[member] for member in range(case.members)]
        values = np.stack([_probabilities(result, case, data) for result in results])
    times = [result.metrics or {} for result in results]
    ray.shutdown()
    begun, ended = min(t["begun"] for t in times), max(t["ended"] for t in times)
    return Outcome(begun, ended, accuracies(values, data.y_test))


def _probabilities(result: tune.Result, case: Case, data: Arrays) -> Any:
    net = plain.make(case, data.shape)
    assert result.checkpoint is not None
    with result.checkpoint.as_directory() as directory:
        net.load_state_dict(torch.load(Path(directory) / "weights.pt", weights_only=True))
    return plain.probabilities(net, data)
