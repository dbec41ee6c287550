"""What is predicted: classes or numbers, and which class each label means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ensemble.config import Task
from ensemble.data.dataset import Array
from ensemble.data.raw import Part
from ensemble.data.spelling import nearest
from ensemble.errors import DataError

MOST_INTEGER_CLASSES = 100
"""More different integers than this are a quantity, unless ``--task`` says otherwise."""


@dataclass(frozen=True)
class Targets:
    """Attributes:
    task: Classification or regression.
    y: ``(rows,)`` int64 class indices, or float64 numbers in their own unit.
    classes: Names in the order of their index; empty for regression.
    notes: What was decided and why.
    """

    task: Task
    y: Array
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def learn_targets(part: Part, asked: Literal["auto", "classification", "regression"]) -> Targets:
    """Task, classes and targets of the rows that a run learns from.

    Raises:
        DataError: targets that do not fit the task, one class only, or a class for each row.
    """
    y = _given(part)
    task, reason = (asked, "as asked") if asked != "auto" else _task_of(part)
    if task == "regression":
        numbers = numbers_of(part)
        if len(numbers) > 1 and numbers.min() == numbers.max():
            raise DataError(f"all {len(numbers):,} targets are {numbers[0]:g}: there is nothing to learn")
        return Targets(task, numbers, (), (f"task: regression ({reason})",))
    codes, names = codes_of(part)
    present = np.flatnonzero(np.bincount(codes, minlength=len(names)))
    classes = tuple(names[code] for code in present)
    if len(classes) < 2:
        raise DataError(f"all {len(y):,} rows have the class {classes[0]!r}: there is nothing to learn")
    if len(classes) == len(y):
        raise DataError(
            f"each of the {len(y):,} rows has a class of its own ({classes[0]!r}, {classes[1]!r}, …): fewer "
            "rows than a class needs to be learned and tested; for quantities use --task regression"
        )
    place = np.zeros(len(names), dtype=np.int64)
    place[present] = np.arange(len(present))
    notes = [f"task: classification ({len(classes)} classes; {reason})"]
    if part.names is None and y.dtype.kind != "b" and classes != tuple(map(str, range(len(classes)))):
        notes.append(f"labels {listed(classes)} are the classes 0 to {len(classes) - 1}, in that order")
    return Targets(task, place[codes], classes, tuple(notes))


def match_targets(part: Part, *, task: Task, classes: Sequence[str]) -> Array:
    """Targets of other rows, as class indices or numbers of the run that learned.

    Raises:
        DataError: no targets, targets of another kind, or a class that the run does not know.
    """
    _given(part)
    if task == "regression":
        return numbers_of(part)
    codes, names = codes_of(part)
    index = {name: place for place, name in enumerate(classes)}
    place = np.array([index.get(name, -1) for name in names], dtype=np.int64)
    y: NDArray[np.int64] = place[codes]
    unknown = np.flatnonzero(y < 0)
    if len(unknown):
        row = int(unknown[0])
        raise DataError(
            f"{part.where(row)} has the label {names[codes[row]]!r}, which no training row has"
            f"{nearest(names[codes[row]], classes)}; the classes are {listed(classes)}"
        )
    return y


def codes_of(part: Part) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """``(rows,)`` codes and the class names they stand for: names as given, integers in numerical order.

    Raises:
        DataError: a float that is not a whole number.
    """
    y = _given(part)
    if part.names is not None:
        return y.astype(np.int64), part.names
    if y.dtype.kind == "b":
        return y.astype(np.int64), ("False", "True")
    if y.dtype.kind == "f":
        fractional = np.flatnonzero(y != np.floor(y))
        if len(fractional):
            row = int(fractional[0])
            raise DataError(
                f"{part.where(row)} has the target {y[row]}, which is no class: classes are whole numbers or "
                "names; use --task regression"
            )
    values, codes = np.unique(y, return_inverse=True)
    return codes.astype(np.int64), tuple(str(int(value)) for value in values)


def numbers_of(part: Part) -> NDArray[np.float64]:
    """``(rows,)`` float64 targets.

    Raises:
        DataError: names, which are no numbers.
    """
    y = _given(part)
    if part.names is not None:
        raise DataError(
            f"{part.where(0)} has the target {part.names[int(y[0])]!r}, but regression needs numbers"
        )
    return y.astype(np.float64)


def lacking(y: Array, classes: Sequence[str]) -> tuple[str, ...]:
    """The classes of which there is no row."""
    counts = np.bincount(y, minlength=len(classes))
    return tuple(name for name, count in zip(classes, counts, strict=True) if count == 0)


def listed(names: Sequence[str], most: int = 12) -> str:
    """The names, quoted; the first twelve where there are more."""
    shown = ", ".join(map(repr, names[:most]))
    return shown if len(names) <= most else f"{shown}, … ({len(names):,})"


def _given(part: Part) -> Array:
    if part.y is None:
        raise DataError(f"{part.where(0)} has no target, nor has any other row; give y with the rows")
    return part.y


def _task_of(part: Part) -> tuple[Task, str]:
    y = _given(part)
    if part.names is not None:
        return "classification", "targets are names"
    if y.dtype.kind == "b":
        return "classification", "targets are booleans"
    if y.dtype.kind == "f":
        return "regression", "targets are decimal numbers"
    distinct = len(np.unique(y))
    if distinct <= MOST_INTEGER_CLASSES:
        return "classification", f"targets are {distinct} different integers"
    return "regression", f"targets are {distinct:,} different integers, more than {MOST_INTEGER_CLASSES}"
