"""What an ensemble does not know, and why: entropies and variances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ensemble.combining.predictions import Array, Floats, average, regression_mixture
from ensemble.combining.scratch import added, looked_at

TINY = float(np.finfo(np.float64).tiny)
"""In a logarithm where a probability is 0, by which it is then multiplied."""


@dataclass(frozen=True)
class Uncertainty:
    """``(rows,)`` each; total = aleatoric + epistemic. None where members predict no variance."""

    total: Floats | None
    aleatoric: Floats | None
    epistemic: Floats


def classification_uncertainty(p: Array) -> Uncertainty:
    """Entropies in nats of ``(predictors, rows, classes)`` probabilities (Depeweg et al. 2018, arXiv
    1710.07283).

    Total H[p̄], aleatoric mean_m H[p_m], epistemic their difference: the mutual information, which is also
    mean KL(p_m ‖ p̄), and lies between 0 and min(ln classes, ln predictors).
    """
    total = entropy(average(p))
    inner = np.zeros(p.shape[1])
    for parts in looked_at(p, entropy):
        inner = added(inner, parts)
    aleatoric = inner / len(p)
    return Uncertainty(total, aleatoric, np.maximum(total - aleatoric, 0))


def entropy(p: Array) -> Floats:
    """H[p] = −Σ_k p_k ln p_k in nats of ``(…, classes)`` probabilities, in float64: ``(…)``."""
    exact = p.astype(np.float64)
    logs = np.log(np.maximum(exact, TINY))
    return np.asarray(0 - np.einsum("...k,...k->...", exact, logs))


def regression_uncertainty(values: Array) -> Uncertainty:
    """Variances of ``(predictors, rows, 1|2)`` means (and variances), in squared units of the target.

    Total σ*² of the mixture, aleatoric mean σ_m², epistemic the variance of μ_m.
    """
    epistemic = prediction_variance(values[:, :, :1])
    if values.shape[2] == 1:
        return Uncertainty(None, None, epistemic)
    return Uncertainty(regression_mixture(values)[:, 1], average(values[:, :, 1:])[:, 0], epistemic)


def prediction_variance(p: Array) -> Floats:
    """V̂ = (1/M) Σ_m ‖p_m − p̄‖² of each row: ``(predictors, rows, outputs)`` → ``(rows,)``; of one predictor 0."""
    return spread_about(average(p), p)


def spread_about(centre: Floats, p: Array) -> Floats:
    """(1/M) Σ_m ‖p_m − c‖² of each row: ``(rows, outputs)`` and ``(predictors, rows, outputs)`` → ``(rows,)``."""
    total = np.zeros(p.shape[1])

    def look(part: Array) -> Floats:
        error = part - centre
        return np.asarray(np.einsum("mrk,mrk->mr", error, error))

    for parts in looked_at(p, look):
        total = added(total, parts)
    spread: Floats = total / len(p)
    return spread
