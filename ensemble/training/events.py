"""What a worker tells the coordinator. Small frozen records of plain values and CPU arrays; they cross processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

Weights = dict[str, NDArray[Any]]
"""A network's ``state_dict`` as CPU arrays."""

Origin = Literal["members", "snapshots", "heads", "dropout", "averaged"]
"""What makes predictors of one kind differ; combining and evaluation know nothing else about them."""

Cause = Literal["raised", "died", "out_of_memory", "hung", "node_lost", "cancelled"]


Said = dict[str, NDArray[Any]]
"""Predictions by part of the rows."""


@dataclass(frozen=True)
class Started:
    """A worker has begun on a member."""

    member: int
    device: str
    host: str
    pid: int
    resumed_epoch: int = 0
    fingerprint: dict[str, Any] = field(default_factory=dict)
    """Hardware, threads, versions and precision: what decides the bits."""


@dataclass(frozen=True)
class Progress:
    """One epoch is over (``epoch`` counts from 1); the same values are the member's history."""

    member: int
    epoch: int
    epochs: int
    loss: float
    """Mean training loss of the epoch's steps."""
    metric: float | None
    """Validation accuracy, or RMSE in standardized units; None without validation rows."""
    valid_loss: float | None
    lr: float
    grad_norm: float
    """Mean norm of the gradient before clipping."""
    clipped: float
    """Fraction of steps in which the gradient was clipped."""
    seconds: float
    """Time of the epoch's training steps."""
    rows: int
    """Rows trained on in the epoch."""


@dataclass(frozen=True)
class Alive:
    """A sign of life within a long epoch; it carries nothing."""

    member: int


@dataclass(frozen=True)
class TrainState:
    """Everything a resume needs: arrays and plain values, so it can be stored without pickle."""

    epoch: int
    step: int
    arrays: dict[str, NDArray[Any]]
    values: dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """A point from which the member can go on; where several are trained together, all of them."""

    member: int
    """The first of them."""
    state: TrainState


@dataclass(frozen=True)
class Predictor:
    """One trained predictor and what it says on the rows of the run.

    ``predictions`` maps ``valid``, ``test`` and, with resampling, ``oob`` (the training rows it never saw, in order)
    to ``(rows, classes)`` probabilities in float32, or for regression ``(rows, 1)`` means or ``(rows, 2)`` means and
    variances in float64, in the target's own unit.
    """

    member: int
    origin: Origin
    index: int
    """Among the member's predictors of this origin."""
    weights: Weights | None
    """None where the predictor shares the member's weights (heads, dropout masks)."""
    predictions: Said


@dataclass(frozen=True)
class Finished:
    """The member is done; its predictors have been sent."""

    member: int
    history: tuple[Progress, ...]
    seconds: float
    """Time of this member's training steps, all attempts together."""
    predict_seconds_per_1000_rows: float
    """Time of predicting with it on the worker's device."""


@dataclass(frozen=True)
class Diverged:
    """The member's loss, gradient or weights are no longer finite: it is over, and the same seed would end so again.

    An attempt at several members goes on with the others. ``evidence`` has the last values seen.
    """

    member: int
    evidence: str


@dataclass(frozen=True)
class Failed:
    """An attempt came to nothing, with all its members. ``evidence`` is a traceback, an exit code or a signal."""

    member: int | None
    cause: Cause
    evidence: str


@dataclass(frozen=True)
class Scored:
    """The answer to a ``Score`` task: predictions, and the weights as refreshed."""

    weights: Weights
    predictions: Said


@dataclass(frozen=True)
class Notice:
    """What a pool itself has to say, in words: that it waits for resources, that workers were added or replaced."""

    text: str


Event = Started | Progress | Alive | Checkpoint | Predictor | Finished | Diverged | Failed | Scored | Notice
