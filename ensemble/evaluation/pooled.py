"""What predictors say together: from one look at each, kept in memory that grows with rows or with predictors alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ensemble.combining.predictions import Array, Floats, Task, Vote, combine, vote
from ensemble.combining.scratch import added, blocks
from ensemble.evaluation.metrics import Metrics, Scores, metrics_of_each, score
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
    found: list[Metrics] = []
    curves: list[Floats] = []
    nothing = np.zeros(len(y))
    sums: dict[str, Floats] = {}
    inner = nothing
    likely = classes or values.shape[2] == 2
    for block in blocks(values):
        part = values[block]
        scores = score(part.reshape(-1, part.shape[2]), np.tile(y, len(part)), task=task)
        found += metrics_of_each(scores, len(part))
        for name, rows in scores.rows.items():
            if rows is not None:
                sums[name] = added(sums.get(name, nothing), rows.reshape(len(part), -1).copy())
        if likely:
            widths = entropy(part) if classes else part[:, :, 1]
            right = scores.rows["accuracy" if classes else "rmse"]
            assert right is not None
            curves.append(kept_means(widths, right.reshape(len(part), -1)))
            inner = added(inner, widths.astype(np.float64))
    mean, means = combine(values, task=task), values if classes else values[:, :, :1]
    return Pooled(
        mean=mean,
        vote=vote(values) if classes else None,
        metrics=tuple(found),
        scores=Scores(
            task, {name: sums[name] / len(values) if name in sums else None for name in scores.rows}
        ),
        aleatoric=inner / len(values) if likely else None,
        variance=spread_about(mean[:, : means.shape[2]], means),
        kept=np.concatenate(curves).mean(axis=0).tolist() if likely else None,
    )


def means_of_each(rows: Callable[[Array, Array], Floats], values: Array, y: Array) -> Floats:
    """``(predictors,)`` means of what ``rows(values, y)`` gives of each row of ``(rows, outputs)`` predictions."""
    means = np.empty(len(values))
    for block in blocks(values):
        part = values[block]
        found = rows(part.reshape(-1, part.shape[2]), np.tile(y, len(part)))
        means[block] = found.reshape(len(part), -1).mean(axis=1)
    return means
