"""What an ensemble does not know, and why: entropies and variances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import entr

from ensemble.combining.predictions import Array, Floats, average, regression_mixture


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
    total = entr(average(p)).sum(axis=1)
    aleatoric = np.zeros(p.shape[1])
    for one in p:
        aleatoric += entr(one.astype(np.float64)).sum(axis=1)
    aleatoric /= len(p)
    return Uncertainty(total, aleatoric, np.maximum(total - aleatoric, 0))


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
    mean = average(p)
    total = np.zeros(p.shape[1])
    for one in p:
        error = one - mean
        total += np.einsum("rk,rk->r", error, error)
    return total / len(p)
