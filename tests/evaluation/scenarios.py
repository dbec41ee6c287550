"""Predictions of networks that were never trained: as good, as confident and as different as is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ensemble.combining.predictions import Array
from ensemble.evaluation.evaluate import EvaluationInput, OutOfBag, ParameterAverage, Predictors


def probabilities(
    predictors: int, rows: int, classes: int, *, seed: int = 0, skill: float = 1.5
) -> tuple[Array, Array]:
    """``(predictors, rows, classes)`` that share what they know, and ``(rows,)`` class indices."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, rows)
    logits = rng.normal(size=(rows, classes)) + rng.normal(scale=0.8, size=(predictors, rows, classes))
    logits[:, np.arange(rows), y] += skill
    powers = np.exp(logits)
    return powers / powers.sum(axis=2, keepdims=True), y


def gaussians(predictors: int, rows: int, outputs: int = 2, *, seed: int = 0) -> tuple[Array, Array]:
    """``(predictors, rows, outputs)`` means about 100 (and variances), and ``(rows,)`` targets."""
    rng = np.random.default_rng(seed)
    y = rng.normal(100, 20, rows)
    means = y + rng.normal(scale=2, size=rows) + rng.normal(scale=2, size=(predictors, rows))
    return np.stack([means, rng.uniform(4, 12, means.shape)], axis=2)[:, :, :outputs], y


def classification(
    *, members: int = 5, valid: int = 60, test: int = 80, classes: int = 4, seed: int = 0
) -> EvaluationInput:
    """Members alone, with validation rows unless there are none."""
    p, y = probabilities(members, valid + test, classes, seed=seed)
    return EvaluationInput(
        task="classification",
        classes=tuple(f"class {k}" for k in range(classes)),
        valid_targets=y[:valid] if valid else None,
        test_targets=y[valid:],
        predictors=(
            Predictors("members", tuple(range(members)), p[:, :valid] if valid else None, p[:, valid:]),
        ),
    )


def regression(
    *, members: int = 5, valid: int = 60, test: int = 80, outputs: int = 2, seed: int = 0
) -> EvaluationInput:
    """Members alone, with validation rows unless there are none."""
    values, y = gaussians(members, valid + test, outputs, seed=seed)
    return EvaluationInput(
        task="regression",
        classes=(),
        valid_targets=y[:valid] if valid else None,
        test_targets=y[valid:],
        predictors=(
            Predictors(
                "members", tuple(range(members)), values[:, :valid] if valid else None, values[:, valid:]
            ),
        ),
    )


def everything(**how: Any) -> EvaluationInput:
    """A classification with every origin, an average of parameters at chance, one of snapshots, and out-of-bag rows."""
    given = classification(**how)
    members = given.members
    assert members.valid is not None
    count, classes = len(members.test), len(given.classes)
    rng = np.random.default_rng(7)
    train, train_y = probabilities(count, 50, classes, seed=9)
    unseen = tuple(np.flatnonzero(rng.random(50) < 0.37) for _ in range(count))
    chance = np.full(members.test[0].shape, 1 / classes)
    chance_valid = np.full(members.valid[0].shape, 1 / classes)
    return replace(
        given,
        predictors=(
            members,
            Predictors("snapshots", (0, 0, 1, 1), members.valid[[0, 0, 1, 1]], members.test[[0, 0, 1, 1]]),
            Predictors("dropout", (0, 0, 0), members.valid[:3], members.test[:3]),
        ),
        averages=(
            ParameterAverage("members", chance_valid[None], chance[None]),
            ParameterAverage("snapshots", members.valid[:1], members.test[:1]),
        ),
        oob=OutOfBag(unseen, tuple(one[rows] for one, rows in zip(train, unseen, strict=True)), train_y),
    )
