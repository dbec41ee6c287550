"""What an ensemble does not know, and why: entropies, variances, and where its error comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import entr

from ensemble.combining.predictions import Array, Floats, average, regression_mixture, vote
from ensemble.evaluation.metrics import brier_rows, squared_error_rows


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


def prediction_variance(p: Array, *, unbiased: bool = False) -> Floats:
    """V̂ = (1/M) Σ_m ‖p_m − p̄‖² of each row, or with M − 1: ``(predictors, rows, outputs)`` → ``(rows,)``.

    With one predictor it is 0, and with M − 1 undefined (NaN).
    """
    mean = average(p)
    total = np.zeros(p.shape[1])
    for one in p:
        error = one - mean
        total += np.einsum("rk,rk->r", error, error)
    if unbiased and len(p) == 1:
        return np.full(p.shape[1], np.nan)
    return total / (len(p) - 1 if unbiased else len(p))


def squared_decomposition(p: Array, y: Array) -> dict[str, float]:
    """Mean squared loss of the predictors = that of their mean + V̂ (Krogh & Vedelsby 1995, the ambiguity
    decomposition).

    The loss is the Brier score of ``(predictors, rows, classes)`` probabilities, or the squared error of
    ``(predictors, rows, 1)`` means. ``bias`` is the loss of the mean, noise included, which one set of
    targets cannot tell from it.
    """
    loss = squared_error_rows if p.shape[2] == 1 else brier_rows
    return {
        "error": float(np.mean([loss(one, y).mean() for one in p])),
        "bias": float(loss(average(p), y).mean()),
        "variance": float(prediction_variance(p).mean()),
    }


def zero_one_decomposition(p: Array, y: Array) -> dict[str, float]:
    """Mean error rate of the predictors = bias + variance − variance_helpful (Domingos 2000).

    The main prediction is the vote. ``bias``: rows on which it is wrong. ``variance``: members' departures
    from it where it is right, which cost. ``variance_helpful``: members that are right where it is wrong.

    Args:
        p: ``(predictors, rows, classes)`` probabilities.
        y: ``(rows,)`` class indices.
    """
    wrong = vote(p).labels != y
    right = np.mean([one.argmax(axis=1) == y for one in p], axis=0)
    return {
        "error": float(1 - right.mean()),
        "bias": float(wrong.mean()),
        "variance": float(((1 - right) * ~wrong).mean()),
        "variance_helpful": float((right * wrong).mean()),
    }
