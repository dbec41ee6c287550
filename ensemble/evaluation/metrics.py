"""Metrics, row by row first: intervals and paired tests resample rows, so each is a function of row means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ensemble.combining.predictions import Array, Floats, Integers, Task, Vote
from ensemble.combining.selection import PROBABILITY_FLOOR

Metrics = dict[str, float | None]
"""Contract's METRICS: a number, or None where a metric has no meaning."""

METRICS: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "nll", "brier", "ece"),
    "regression": ("rmse", "mae", "nll", "coverage95"),
}
BINS = 15
NORMAL_95 = 1.959963984540054
"""Half-width of the central 95 % of a standard normal distribution."""


def accuracy_rows(p: Array, y: Array) -> Floats:
    """1 where the most probable class (the lowest index of equals) is ``y``, else 0: ``(rows,)``."""
    correct: Floats = (p.argmax(axis=1) == y).astype(np.float64)
    return correct


def nll_rows(p: Array, y: Array) -> Floats:
    """−log p_y in nats, of probabilities clipped at 1e-12: ``(rows,)``."""
    true = p[np.arange(len(y)), y].astype(np.float64)
    nll: Floats = -np.log(np.maximum(true, PROBABILITY_FLOOR))
    return nll


def brier_rows(p: Array, y: Array) -> Floats:
    """Σ_k (p_k − y_k)², between 0 and 2 (twice scikit-learn's for two classes): ``(rows,)``."""
    error = p.astype(np.float64)
    error[np.arange(len(y)), y] -= 1
    brier: Floats = np.einsum("rk,rk->r", error, error)
    return brier


def squared_error_rows(values: Array, y: Array) -> Floats:
    """(μ − y)² of ``(rows, 1|2)`` predictions, in squared units of the target: ``(rows,)``."""
    return np.square(values[:, 0].astype(np.float64) - y)


def absolute_error_rows(values: Array, y: Array) -> Floats:
    """|μ − y| of ``(rows, 1|2)`` predictions, in units of the target: ``(rows,)``."""
    return np.abs(values[:, 0].astype(np.float64) - y)


def gaussian_nll_rows(values: Array, y: Array) -> Floats:
    """½ ln 2πσ² + (y − μ)²/2σ² in nats of ``(rows, 2)`` means and variances: ``(rows,)``."""
    variance = values[:, 1].astype(np.float64)
    nll: Floats = 0.5 * np.log(2 * np.pi * variance) + squared_error_rows(values, y) / (2 * variance)
    return nll


def covered_rows(values: Array, y: Array) -> Floats:
    """1 where ``y`` lies within μ ± 1.96 σ of ``(rows, 2)`` means and variances, else 0: ``(rows,)``."""
    width = NORMAL_95 * np.sqrt(values[:, 1].astype(np.float64))
    return (absolute_error_rows(values, y) <= width).astype(np.float64)


def loss_rows(values: Array, y: Array, *, task: Task) -> Floats:
    """What a predictor is judged by where one figure must do: NLL, or squared error without variance."""
    if task == "classification":
        return nll_rows(values, y)
    return gaussian_nll_rows(values, y) if values.shape[1] == 2 else squared_error_rows(values, y)


@dataclass(frozen=True)
class Scores:
    """What each row contributes to the metrics of one predictor or combiner.

    Attributes:
        task: Which metrics there are.
        rows: Metric → ``(rows,)`` contributions, whose mean is the metric (for rmse: its square); None where
            it has no meaning.
        gap: ``(rows,)`` correct − confidence; None where there is no calibration error.
        bin: ``(rows,)`` which of 15 equal-width bins (lo, hi] the confidence falls in.
    """

    task: Task
    rows: dict[str, Floats | None]
    gap: Floats | None = None
    bin: Integers | None = None

    def columns(self) -> Floats:
        """``(rows, columns)`` whose means under any weights of rows `metrics_of_means` makes into metrics."""
        columns = [rows for rows in self.rows.values() if rows is not None]
        if self.gap is None or self.bin is None:
            return np.stack(columns, axis=1)
        binned = np.zeros((len(self.gap), BINS))
        binned[np.arange(len(self.gap)), self.bin] = self.gap
        return np.concatenate([np.stack(columns, axis=1), binned], axis=1)

    def means(self) -> Floats:
        """Means of `columns`, without building them."""
        means = np.array([rows.mean() for rows in self.rows.values() if rows is not None])
        if self.gap is None or self.bin is None:
            return means
        binned = np.bincount(self.bin, weights=self.gap, minlength=BINS) / len(self.gap)
        return np.concatenate([means, binned])

    def metrics_of_means(self, means: Floats) -> dict[str, Floats | None]:
        """Each metric of ``(…, columns)`` means, as ``(…)``; ECE is Σ_b |Σ_{i in b} gap_i| / n."""
        found: dict[str, Floats | None] = {}
        column = 0
        for name, rows in self.rows.items():
            if rows is None:
                found[name] = None
                continue
            found[name] = np.sqrt(means[..., column]) if name == "rmse" else means[..., column]
            column += 1
        if self.task == "classification":
            found["ece"] = None if self.gap is None else np.abs(means[..., column:]).sum(axis=-1)
        return found

    def metrics(self) -> Metrics:
        """The metrics over all rows."""
        return {
            name: None if value is None else float(value)
            for name, value in self.metrics_of_means(self.means()).items()
        }


def score(values: Array, y: Array, *, task: Task) -> Scores:
    """Scores of probabilities ``(rows, classes)`` or of ``(rows, 1|2)`` means (and variances) against ``y``
    ``(rows,)``.

    Means without a variance have neither NLL nor coverage.
    """
    if task == "classification":
        labels = values.argmax(axis=1)
        correct = (labels == y).astype(np.float64)
        gap, bins = calibration_gaps(values[np.arange(len(y)), labels], correct)
        rows = {"accuracy": correct, "nll": nll_rows(values, y), "brier": brier_rows(values, y)}
        return Scores(task=task, rows=dict(rows), gap=gap, bin=bins)
    likely = values.shape[1] == 2
    return Scores(
        task=task,
        rows={
            "rmse": squared_error_rows(values, y),
            "mae": absolute_error_rows(values, y),
            "nll": gaussian_nll_rows(values, y) if likely else None,
            "coverage95": covered_rows(values, y) if likely else None,
        },
    )


def score_vote(vote: Vote, y: Array) -> Scores:
    """Scores of a vote: of its labels, ties broken, and its shares, of which there is no likelihood."""
    correct = (vote.labels == y).astype(np.float64)
    gap, bins = calibration_gaps(vote.shares.max(axis=1), correct)
    return Scores(
        task="classification",
        rows={"accuracy": correct, "nll": None, "brier": brier_rows(vote.shares, y)},
        gap=gap,
        bin=bins,
    )


def metrics_of_each(scores: Scores, predictors: int) -> list[Metrics]:
    """The metrics of several predictors that were scored in one go, one after the other on the same rows."""
    means = np.stack(
        [rows.reshape(predictors, -1).mean(axis=1) for rows in scores.rows.values() if rows is not None],
        axis=1,
    )
    if scores.gap is not None and scores.bin is not None:
        rows = len(scores.gap) // predictors
        place = scores.bin + BINS * np.repeat(np.arange(predictors), rows)
        binned = np.bincount(place, weights=scores.gap, minlength=BINS * predictors).reshape(predictors, BINS)
        means = np.concatenate([means, binned / rows], axis=1)
    found = scores.metrics_of_means(means)
    return [
        {name: None if value is None else float(value[one]) for name, value in found.items()}
        for one in range(predictors)
    ]


def metrics_of_all(values: Array, y: Array, *, task: Task) -> list[Metrics]:
    """`metrics` of each of ``(predictors, rows, outputs)`` against ``y`` ``(rows,)``, in one go."""
    flat = values.reshape(-1, values.shape[2])
    return metrics_of_each(score(flat, np.tile(y, len(values)), task=task), len(values))


def metrics(values: Array, y: Array, *, task: Task) -> Metrics:
    """Metrics of predictions ``(rows, outputs)`` against ``y`` ``(rows,)``; None where one has no meaning."""
    return score(values, y, task=task).metrics()


def calibration_gaps(confidence: Array, correct: Floats) -> tuple[Floats, Integers]:
    """Correct − confidence, and which of 15 equal bins (lo, hi] the confidence is in: both ``(rows,)``."""
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    bins = np.searchsorted(inner, confidence, side="left")
    return correct - confidence, bins.astype(np.int64)


def expected_calibration_error(p: Array, y: Array) -> float:
    """ECE = Σ_b (n_b/n) |acc_b − conf_b| over 15 equal-width bins (Guo et al. 2017, arXiv 1706.04599)."""
    gap, bins = calibration_gaps(p.max(axis=1), accuracy_rows(p, y))
    return float(np.abs(np.bincount(bins, weights=gap, minlength=BINS)).sum() / len(y))
