"""scikit-learn's ``BaggingClassifier`` over skorch's ``NeuralNetClassifier``, every member on all rows."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.ensemble import BaggingClassifier
from skorch import NeuralNetClassifier
from torch import nn

from examples.benchmarks import plain
from examples.benchmarks.cases import Case
from examples.benchmarks.outcome import Outcome, accuracies
from examples.benchmarks.rows import read


def fresh_network(case: Case, shape: tuple[int, ...]) -> nn.Module:
    """From a seed of the system's: neither library seeds torch, and joblib's processes all start from one seed.

    Bagging takes rows of two dimensions only, so images come flat.
    """
    torch.seed()
    return nn.Sequential(nn.Unflatten(1, shape), plain.make(case, shape))


def run(case: Case, path: Path, jobs: int) -> Outcome:
    """With one job torch has all threads; with several, joblib gives each process its share."""
    data = read(path)
    x, x_test = (rows.reshape(len(rows), -1) for rows in (data.x, data.x_test))
    member = NeuralNetClassifier(
        partial(fresh_network, case, data.shape),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=case.momentum,
        lr=case.lr,
        max_epochs=case.epochs,
        batch_size=case.batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    model = BaggingClassifier(member, n_estimators=case.members, bootstrap=False, n_jobs=jobs)
    begun = time.time()
    model.fit(x, data.y)
    ended = time.time()
    values = np.stack([member.predict_proba(x_test) for member in model.estimators_])
    return Outcome(begun, ended, accuracies(values, data.y_test))
