"""What predictors say together: from one look at each, kept in memory that grows with rows or with predictors alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ensemble.combining.predictions import Array, Floats, Task, Vote, combine, vote
from ensemble.combining.scratch import added, looked_at
from ensemble.evaluation.metrics import METRICS, Metrics, Scores, metrics_of_each, score
from ensemble.evaluation.rejection import kept_means
from ensemble.evaluation.uncertainty import Uncertainty, entropy, spread_about


@dataclass(frozen=True)
class Pooled:
    """The predictors of one origin on the test rows.

    Attributes:
        mean: ``(rows, outputs)`` their average, for regression the mixture.
        vote: None for regression.
        metrics: Of each predictor.
        scores: The mean predictor: row by row the mean of the predictors' contributions. Its ECE has no meaning (the
            bins differ); its rmse is the root of the predictors' mean squared error.
        aleatoric: ``(rows,)`` mean entropy, for regression mean variance; None without a variance.
        variance: ``(rows,)`` V̂ of the probabilities, or of the means.
        kept: The mean predictor's figure where its most uncertain rows are rejected (`ensemble.evaluation.rejection`);
            None without a variance.
    """

    mean: Floats
    vote: Vote | None
    metrics: tuple[Metrics, ...]
    scores: Scores
    aleatoric: Floats | None
    variance: Floats
    kept: list[float] | None

    @property
    def uncertainty(self) -> Uncertainty:
        """Of each row, as `ensemble.evaluation.uncertainty` has it."""
        if self.vote is None:
            return Uncertainty(
                None if self.aleatoric is None else self.mean[:, 1], self.aleatoric, self.variance
            )
        assert self.aleatoric is not None
        total = entropy(self.mean)
        return Uncertainty(total, self.aleatoric, np.maximum(total - self.aleatoric, 0))


def pool(values: Array, y: Array, *, task: Task) -> Pooled:
    """Look at each of ``(predictors, rows, outputs)``, which may be a memory map, against ``y`` ``(rows,)``."""
    classes = task == "classification"
    likely = classes or values.shape[2] == 2

    def look(part: Array) -> tuple[list[Metrics], dict[str, Floats], Floats | None]:
        scores = score(part.reshape(-1, part.shape[2]), np.tile(y, len(part)), task=task)
        each = metrics_of_each(scores, len(part))
        rows = {name: one.reshape(len(part), -1) for name, one in scores.rows.items() if one is not None}
        if not likely:
            return each, rows, None
        widths = entropy(part) if classes else part[:, :, 1].astype(np.float64)
        curves = kept_means(widths, rows["accuracy" if classes else "rmse"])
        return each, rows | {"aleatoric": widths}, curves

    metrics: list[Metrics] = []
    kept: list[Floats] = []
    sums: dict[str, Floats] = {}
    for each, rows, curves in looked_at(values, look):
        metrics += each
        for name, parts in rows.items():
            sums[name] = added(sums.get(name, np.zeros(len(y))), parts)
        if curves is not None:
            kept.append(curves)
    means = {name: total / len(values) for name, total in sums.items()}
    mean, centres = combine(values, task=task), values if classes else values[:, :, :1]
    return Pooled(
        mean=mean,
        vote=vote(values) if classes else None,
        metrics=tuple(metrics),
        scores=Scores(task, {name: means.get(name) for name in METRICS[task] if name != "ece"}),
        aleatoric=means.get("aleatoric"),
        variance=spread_about(mean[:, : centres.shape[2]], centres),
        kept=np.concatenate(kept).mean(axis=0).tolist() if kept else None,
    )


def means_of_each(rows: Callable[[Array, Array], Floats], values: Array, y: Array) -> Floats:
    """``(predictors,)`` means of what ``rows(values, y)`` gives of each row of ``(rows, outputs)`` predictions."""

    def look(part: Array) -> Floats:
        found = rows(part.reshape(-1, part.shape[2]), np.tile(y, len(part)))
        return np.asarray(found.reshape(len(part), -1).mean(axis=1))

    return np.concatenate(list(looked_at(values, look)))
