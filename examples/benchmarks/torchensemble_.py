"""TorchEnsemble's ``VotingClassifier`` as its documentation uses it: a ``DataLoader`` over a ``TensorDataset``."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchensemble import VotingClassifier

from examples.benchmarks import plain
from examples.benchmarks.cases import Case
from examples.benchmarks.outcome import Outcome, accuracies
from examples.benchmarks.rows import read

NEVER = 10**9


class Member(nn.Module):
    """A class, which is what it makes members of, around the case's network."""

    def __init__(self, case: Case, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.net = plain.make(case, shape)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.net(x)
        return outputs


def run(case: Case, path: Path, jobs: int) -> Outcome:
    """With one job torch has all threads; with several, joblib gives each process its share."""
    data = read(path)
    torch.manual_seed(0)
    rows = TensorDataset(torch.from_numpy(data.x), torch.from_numpy(data.y))
    loader = DataLoader(rows, batch_size=case.batch_size, shuffle=True)
    model = VotingClassifier(
        estimator=Member,
        n_estimators=case.members,
        estimator_args={"case": case, "shape": data.shape},
        cuda=False,
        n_jobs=jobs,
    )
    model.set_criterion(nn.CrossEntropyLoss())
    model.set_optimizer("SGD", lr=case.lr, momentum=case.momentum)
    begun = time.time()
    model.fit(loader, epochs=case.epochs, log_interval=NEVER, save_model=False)
    ended = time.time()
    values = np.stack([plain.probabilities(member, data) for member in model])
    return Outcome(begun, ended, accuracies(values, data.y_test))
