"""What a source holds, for ``ensemble data SOURCE``: nothing is split, scaled or trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ensemble.config import DataConfig, Task
from ensemble.data.dataset import Array
from ensemble.data.raw import Part, Table
from ensemble.data.sources import read_source
from ensemble.data.standardize import Scales, measure
from ensemble.data.targets import learn_targets

ORDERS_OF_MAGNITUDE = 2
"""Features whose standard deviation is this far from the median one train badly unless standardized."""


@dataclass(frozen=True)
class Description:
    """Figures over all rows of a source except its own test rows, of which only the number is given.

    Attributes:
        source: As it was named.
        rows: Rows to learn from, and the source's own test rows (0 where they would be drawn).
        shape: One row: ``(columns,)`` of a table, ``(features,)``, or ``(channels, height, width)``.
        dtype: Of the values as read; ``table`` for columns of several types.
        task: What would be learned.
        classes: Rows of each class; empty for regression.
        target: Least, mean, standard deviation and greatest target; None for classification.
        values: Least, mean, standard deviation and greatest of all inputs; None without numeric inputs.
        differing: Features whose standard deviation is a hundredfold or more from the median one, with it.
        constant: Features with one value only; of images, channels.
        categories: Different values of each categorical column.
        missing: Missing cells of each column that has any.
        notes: What was decided about the source.
    """

    source: str
    rows: dict[str, int]
    shape: tuple[int, ...]
    dtype: str
    task: Task
    classes: dict[str, int]
    target: dict[str, float] | None
    values: dict[str, float] | None
    differing: dict[str, float]
    constant: tuple[str, ...]
    categories: dict[str, int]
    missing: dict[str, int]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as plain lists and dicts."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }


def describe(config: DataConfig) -> Description:
    """Read a source and say what is in it.

    Raises:
        DataError: data that could not be learned from.
    """
    source = read_source(config.data, target=config.target, data_dir=config.data_dir)
    part = source.rows
    targets = learn_targets(part, config.task)
    counts = (
        np.bincount(targets.y, minlength=len(targets.classes)) if targets.classes else np.zeros(0, np.int64)
    )
    measured = _measure(part)
    table = part.x.columns if isinstance(part.x, Table) else {}
    missing = {name: int(cells.missing.sum()) for name, cells in table.items()}
    return Description(
        source=config.data,
        rows={"rows": len(part), "test": 0 if source.test is None else len(source.test)},
        shape=(len(part.x.columns),) if isinstance(part.x, Table) else part.x.shape[1:],
        dtype="table" if isinstance(part.x, Table) else str(part.x.dtype),
        task=targets.task,
        classes={name: int(count) for name, count in zip(targets.classes, counts, strict=True)},
        target=None if targets.classes else _summary([measure(targets.y[:, None], channels=False)]),
        values=_summary(list(measured.values())) if measured else None,
        differing=_differing(measured),
        constant=tuple(name for name, scales in measured.items() if scales.constant.all()),
        categories={
            name: len(cells.categories) for name, cells in table.items() if cells.categories is not None
        },
        missing={name: count for name, count in missing.items() if count},
        notes=(*targets.notes, *source.notes),
    )


def _measure(part: Part) -> dict[str, Scales]:
    """Scales of each numeric column, feature or channel, by name."""
    if isinstance(part.x, Table):
        numbers = {
            name: cells.values[~cells.missing]
            for name, cells in part.x.columns.items()
            if cells.categories is None
        }
        return {
            name: measure(values[:, None], channels=False) for name, values in numbers.items() if len(values)
        }
    images = part.x.ndim == 4
    scales = measure(part.x, channels=images)
    kind = "channel" if images else "feature"
    return {f"{kind} {place}": _one(scales, place) for place in range(len(scales.mean))}


def _one(scales: Scales, place: int) -> Scales:
    only = slice(place, place + 1)
    return Scales(scales.low[only], scales.mean[only], scales.std[only], scales.high[only])


def _summary(parts: list[Scales]) -> dict[str, float]:
    """Over all values, features of equal weight: their variance is that within and that between features."""
    mean, std = _joined(parts, "mean"), _joined(parts, "std")
    return {
        "min": float(_joined(parts, "low").min()),
        "mean": float(mean.mean()),
        "std": float(np.sqrt(np.mean(std**2) + mean.var())),
        "max": float(_joined(parts, "high").max()),
    }


def _joined(parts: list[Scales], name: str) -> Array:
    return np.concatenate([getattr(part, name) for part in parts])


def _differing(measured: dict[str, Scales]) -> dict[str, float]:
    stds = {name: float(scales.std[0]) for name, scales in measured.items() if scales.std[0] > 0}
    if not stds:
        return {}
    middle = float(np.median(list(stds.values())))
    return {name: std for name, std in stds.items() if abs(np.log10(std / middle)) >= ORDERS_OF_MAGNITUDE}
