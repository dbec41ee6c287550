"""Where the error of predictors comes from: bias and variance, of the squared and of the 0-1 loss."""

from __future__ import annotations

from ensemble.combining.predictions import Array
from ensemble.evaluation.metrics import brier_rows, squared_error_rows
from ensemble.evaluation.pooled import Pooled


def squared_decomposition(pooled: Pooled, y: Array) -> dict[str, float]:
    """Mean squared loss of the predictors = that of their mean + V̂ (Krogh & Vedelsby 1995, the ambiguity
    decomposition).

    The loss is the Brier score of probabilities, or the squared error of means. ``bias`` is the loss of the mean,
    noise included, which one set of targets cannot tell from it.

    Args:
        pooled: The predictors.
        y: ``(rows,)`` targets.
    """
    classes = pooled.vote is not None
    each = pooled.scores.rows["brier" if classes else "rmse"]
    assert each is not None
    loss = brier_rows if classes else squared_error_rows
    return {
        "error": float(each.mean()),
        "bias": float(loss(pooled.mean, y).mean()),
        "variance": float(pooled.variance.mean()),
    }


def zero_one_decomposition(pooled: Pooled, y: Array) -> dict[str, float]:
    """Mean error rate of the predictors = bias + variance − variance_helpful (Domingos 2000).

    The main prediction is the vote. ``bias``: rows on which it is wrong. ``variance``: members' departures
    from it where it is right, which cost. ``variance_helpful``: members that are right where it is wrong.

    Args:
        pooled: The predictors of a classification.
        y: ``(rows,)`` class indices.
    """
    assert pooled.vote is not None, "it has no meaning for regression"
    wrong, right = pooled.vote.labels != y, pooled.scores.rows["accuracy"]
    assert right is not None
    return {
        "error": float(1 - right.mean()),
        "bias": float(wrong.mean()),
        "variance": float(((1 - right) * ~wrong).mean()),
        "variance_helpful": float((right * wrong).mean()),
    }
