"""A finished run without training: predictions as a network might make them, committed as the coordinator does."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ensemble.data.dataset import Dataset
from ensemble.members.plan import plan_members
from ensemble.runs.store import RunStore
from ensemble.training.events import Finished, Predictor, Progress
from tests.evaluation.scenarios import gaussians, probabilities
from tests.scenarios import config_for


def finished_run(
    root: Path, data: Dataset, *, members: int = 3, seed: int = 0, skill: float = 3.0
) -> RunStore:
    """Every member of it is done; its report is not written."""
    config = config_for(data, members=members, seed=seed)
    store = RunStore.create(root, data, config=config, functions={}, parameters=10, versions={"torch": "2"})
    rows = np.concatenate([data.valid, data.test])
    if data.spec.task == "classification":
        said, y = probabilities(members, len(rows), len(data.spec.classes), seed=seed)
        said[:, np.arange(len(rows)), data.y[rows]] += skill
        said /= said.sum(axis=2, keepdims=True)
    else:
        said, y = gaussians(members, len(rows), seed=seed)
        said[:, :, 0] += data.y[rows] - y
    said = said.astype(np.float32)
    with store.hold():
        for plan, one in zip(plan_members(config, data.spec), said, strict=True):
            store.begin_member(plan)
            parts = {"test": one[len(data.valid) :]}
            if len(data.valid):
                parts["valid"] = one[: len(data.valid)]
            files = store.save_predictor(
                Predictor(plan.index, "members", 0, {"w": np.zeros(2, np.float32)}, parts)
            )
            history = tuple(
                Progress(plan.index, epoch, 4, 1 / epoch, 0.9, 1 / epoch + 0.1, 0.01, 1.0, 0.5, 0.1, 60)
                for epoch in range(1, 5)
            )
            prints = [{"hardware": "a", "device": "cpu", "threads": 1, "precision": "float32"}]
            done = Finished(plan.index, history, 0.4, 0.01)
            store.commit_member(plan, done, files, attempts=1, fingerprints=prints)
    return store
