"""What the arrays of a run must look like, whoever wrote the manifest that vouches for them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from ensemble.errors import RunError
from ensemble.runs.atomic import StrPath, Tensors
from ensemble.training.events import Progress

COLUMNS = {field.name for field in fields(Progress)}


def check_weights(path: StrPath, weights: Tensors) -> Tensors:
    """Weights as they were given; every one finite.

    Raises:
        RunError: an infinity or a NaN.
    """
    for name, value in weights.items():
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            raise RunError(f"{os.fspath(path)!r} is damaged: {name!r} is not finite")
    return weights


def check_predictions(path: StrPath, said: Tensors, *, rows: Mapping[str, int], outputs: int) -> Tensors:
    """Predictions as they were given.

    Args:
        path: For the message.
        said: By part of the rows, ``(rows, outputs)`` floating-point each.
        rows: How many rows each part must have; parts without rows are left out.
        outputs: Width.

    Raises:
        RunError: other parts, another shape or type, or a value that is not finite.
    """
    wanted = {part: (count, outputs) for part, count in rows.items() if count}
    found = {part: value.shape for part, value in said.items()}
    if found != wanted:
        raise RunError(
            f"{os.fspath(path)!r} is damaged: predictions of {found}, but this run's are of {wanted}"
        )
    for part, value in said.items():
        if value.dtype.kind != "f" or not np.isfinite(value).all():
            raise RunError(f"{os.fspath(path)!r} is damaged: {part!r} does not hold finite numbers")
    return said


def check_split(path: StrPath, targets: Tensors) -> Tensors:
    """Index vectors and targets of the split as they were given.

    Raises:
        RunError: other names, or targets that do not go with their index vector.
    """
    parts = ("train", "valid", "test")
    names = {*parts, *(f"{part}_targets" for part in parts)}
    if targets.keys() != names or any(value.ndim != 1 for value in targets.values()):
        raise RunError(f"{os.fspath(path)!r} is damaged: it holds {sorted(targets)}, but not {sorted(names)}")
    if any(len(targets[part]) != len(targets[f"{part}_targets"]) for part in parts):
        raise RunError(f"{os.fspath(path)!r} is damaged: targets and rows differ in number")
    return targets


def check_history(path: StrPath, history: list[Any]) -> list[dict[str, Any]]:
    """A history's lines as they were given: the fields of ``Progress``, numbers or None.

    Raises:
        RunError: anything else.
    """
    for line in history:
        if not isinstance(line, dict) or line.keys() != COLUMNS:
            raise RunError(f"{os.fspath(path)!r} is damaged: a line is not that of an epoch")
        if not all(value is None or isinstance(value, int | float) for value in line.values()):
            raise RunError(f"{os.fspath(path)!r} is damaged: an epoch has a value that is no number")
    return history
