"""What a run learns from: one array of rows, index vectors into it, how new rows become the same inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ensemble.config import Task

Array = NDArray[Any]
Rows = NDArray[np.int64]


class Column(BaseModel):
    """One column of a table and how it became features."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["number", "category"]
    median: float | None = None
    """Fills missing numbers: the median of the training rows."""
    missing: bool = False
    """Whether training rows had missing cells: then one more feature says so."""
    categories: tuple[str, ...] = ()
    """Values of the training rows, one feature each; any other value has zeros."""


class DataSpec(BaseModel):
    """Everything but the rows; saved as ``data.json``, so new rows can be made into the same inputs later."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    task: Task
    shape: tuple[int, ...]
    """One row: ``(features,)`` or ``(channels, height, width)``."""
    dtype: Literal["uint8", "float32"] = "float32"
    """Of ``Dataset.x``: bytes of images as read, or floats already standardized."""
    classes: tuple[str, ...] = ()
    """Names in the order of their index; empty for regression."""
    target: str | None = None
    columns: tuple[Column, ...] = ()
    standardize: Literal["none", "features", "pixels"]
    mean: tuple[float, ...]
    """Of the training rows: one value a channel (pixels) or an input (features), a single 0 for none.

    Inputs are (x − mean) / std."""
    std: tuple[float, ...]
    target_mean: float = 0.0
    target_std: float = 1.0
    notes: tuple[str, ...] = ()
    """What was decided about the data and has to be said: imputed cells, categories, conversions."""
    sha256: str
    """Digest of the rows, the targets, the classes and the split."""
    test_sha256: str = ""
    """Digest of the test rows, their targets and the classes alone: two runs that share it may be compared row by
    row, whatever they were trained on. Empty in directories of earlier versions."""


@dataclass(frozen=True)
class Dataset:
    """Rows and their split.

    Attributes:
        spec: What ``data.json`` holds.
        x: ``(rows, *spec.shape)``, either uint8 as read (standardized on the device, a batch at a time) or
            float32 already standardized. Workers see it read-only in shared memory.
        y: ``(rows,)`` int64 class indices, or float64 targets in their own unit.
        train, valid, test: Index vectors into the rows, disjoint, sorted; ``valid`` may be empty.
    """

    spec: DataSpec
    x: Array
    y: Array
    train: Rows
    valid: Rows
    test: Rows

    def rows(self, part: str) -> Rows:
        """The index vector of ``train``, ``valid`` or ``test``."""
        index: Rows = {"train": self.train, "valid": self.valid, "test": self.test}[part]
        return index
