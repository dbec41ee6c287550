"""What an evaluation is made from: predictions and targets, checked once at the door."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ensemble.combining.predictions import Array, Task
from ensemble.combining.scratch import blocks
from ensemble.errors import EnsembleError
from ensemble.evaluation.pooled import Pooled, pool


@dataclass(frozen=True)
class Predictors:
    """All predictors of one origin and what they say on the run's rows.

    Attributes:
        origin: ``members``, ``snapshots``, ``heads``, ``dropout`` or ``averaged``.
        members: The member behind each predictor.
        valid: ``(predictors, valid rows, outputs)``; None without validation rows. May be a memory map.
        test: ``(predictors, test rows, outputs)``. Outputs are probabilities of classes, or for regression
            one column of means, or two of means and variances, in the target's own unit.
    """

    origin: str
    members: tuple[int, ...]
    valid: Array | None
    test: Array


@dataclass(frozen=True)
class ParameterAverage:
    """Networks whose parameters are the mean of an origin's networks.

    Members are averaged into one network. Snapshots are averaged within each member, so there are as many
    networks as members; their predictions are then averaged.

    Attributes:
        origin: Of which predictors.
        valid, test: ``(networks, rows, outputs)``. They may hold NaN: such an average is worthless, and is reported so.
        chosen: The predictors that went in, where they are not all (a greedy soup).
        matched: Whether the networks were aligned before.
    """

    origin: str
    valid: Array | None
    test: Array
    chosen: tuple[int, ...] | None = None
    matched: bool = False


@dataclass(frozen=True)
class OutOfBag:
    """What members say on the training rows they never saw.

    Attributes:
        rows: For each member in the order of ``members``, positions among the training rows, each at most
            once.
        values: For each member ``(its rows, outputs)``.
        targets: ``(training rows,)``.
    """

    rows: tuple[NDArray[np.int64], ...]
    values: tuple[Array, ...]
    targets: Array


@dataclass(frozen=True)
class EvaluationInput:
    """Everything of a run that its evaluation depends on.

    Attributes:
        classes: Their names; empty for regression.
        valid_targets: ``(valid rows,)``; None without validation rows.
        test_targets: ``(test rows,)``, at least one.
        predictors: One entry an origin; ``members`` must be among them.
        averages: Networks made by averaging parameters.
        oob: Given where members were trained on resampled rows.
        seed: Of the run: bootstrap, subsets and the split of validation rows follow from it.
    """

    task: Task
    classes: tuple[str, ...]
    valid_targets: Array | None
    test_targets: Array
    predictors: tuple[Predictors, ...]
    averages: tuple[ParameterAverage, ...] = ()
    oob: OutOfBag | None = None
    seed: int = 0

    @cached_property
    def pooled(self) -> dict[str, Pooled]:
        """What the predictors of each origin say together of the test rows; made when first asked."""
        return {one.origin: pool(one.test, self.test_targets, task=self.task) for one in self.predictors}

    @property
    def members(self) -> Predictors:
        """The predictors of origin ``members``."""
        return next(one for one in self.predictors if one.origin == "members")

    @property
    def valid_rows(self) -> int:
        return 0 if self.valid_targets is None else len(self.valid_targets)


def check(given: EvaluationInput) -> None:
    """Refuse what would make every later figure wrong.

    Raises:
        EnsembleError: no test rows, no members, an origin twice, labels that are no class, predictions of
            another shape or not finite. The message names the origin and the predictor.
    """
    origins = [one.origin for one in given.predictors]
    if len(given.test_targets) == 0:
        raise EnsembleError("an evaluation needs test rows, but there are none")
    if "members" not in origins:
        raise EnsembleError(f"an evaluation needs predictors of origin 'members', but there are {origins}")
    if len(set(origins)) != len(origins):
        raise EnsembleError(f"each origin may come once, but they are {origins}")
    _check_targets(given)
    for one in given.predictors:
        if len(one.members) != len(one.test):
            raise EnsembleError(
                f"{one.origin}: {len(one.test)} predictors, but members behind {len(one.members)}"
            )
        for part, values, rows in _parts(given, one):
            name = f"{part} predictions of {one.origin}"
            _check_shape(given, name, values.shape[1:], rows)
            if len(values) != len(one.members):
                raise EnsembleError(f"{name} hold {len(values)} predictors, but there are {len(one.members)}")
            for block in blocks(values):
                finite = np.isfinite(values[block]).all(axis=(1, 2))
                if not finite.all():
                    predictor = block.start + int(finite.argmin())
                    raise EnsembleError(
                        f"{name}: predictor {predictor} (member {one.members[predictor]}) is not finite; "
                        "leave it out as diverged"
                    )
    if given.oob is not None:
        members, of_rows, of_values = len(given.members.members), len(given.oob.rows), len(given.oob.values)
        if not members == of_rows == of_values:
            raise EnsembleError(
                f"{members} members, but out-of-bag rows of {of_rows} and predictions of {of_values}"
            )
    for mean in given.averages:
        if mean.origin not in origins:
            raise EnsembleError(f"parameters of {mean.origin!r} were averaged, but it has no predictors")
        for part, values, rows in _parts(given, mean):
            _check_shape(given, f"{part} predictions of averaged {mean.origin}", values.shape[1:], rows)


def _parts(given: EvaluationInput, one: Predictors | ParameterAverage) -> list[tuple[str, Array, int]]:
    parts = [("test", one.test, len(given.test_targets))]
    if given.valid_rows:
        if one.valid is None:
            raise EnsembleError(
                f"there are {given.valid_rows} validation rows, but {one.origin} has no predictions of them"
            )
        parts.append(("valid", one.valid, given.valid_rows))
    return parts


def _check_targets(given: EvaluationInput) -> None:
    for part, targets in (("valid", given.valid_targets), ("test", given.test_targets)):
        if targets is None or len(targets) == 0:
            continue
        if given.task == "regression":
            if not np.isfinite(targets).all():
                raise EnsembleError(
                    f"{part} target of row {int(np.argmin(np.isfinite(targets)))} is not finite"
                )
        elif not np.issubdtype(targets.dtype, np.integer) or not 0 <= targets.min() <= targets.max() < len(
            given.classes
        ):
            raise EnsembleError(
                f"{part} targets must be class indices 0 to {len(given.classes) - 1}, "
                f"but they are {targets.dtype} from {targets.min()} to {targets.max()}"
            )


def _check_shape(given: EvaluationInput, name: str, shape: tuple[int, ...], rows: int) -> None:
    widths = (len(given.classes),) if given.task == "classification" else (1, 2)
    if len(shape) != 2 or shape[0] != rows or shape[1] not in widths:
        expected = " or ".join(f"({rows}, {width})" for width in widths)
        raise EnsembleError(f"{name} are {shape} for each predictor, but {expected} was expected")
