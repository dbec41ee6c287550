"""The rows of a case: written once as one file, which every contender reads, ours included."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from examples.benchmarks.cases import Case

CLASSES = 10
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Arrays:
    """Standardized float32 rows ``(rows, *shape)`` and their int64 labels."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return self.x.shape[1:]


def write(case: Case, path: Path) -> None:
    """An uncompressed .npz of the rows as they come from their source: bytes of images stay bytes.

    Raises:
        ensemble.errors.DataError: the files of Fashion-MNIST are not there.
    """
    arrays = _digits() if case.source == "digits" else _fashion()
    arrays |= {key: arrays[key][: case.rows] for key in ("x", "y")}
    np.savez(path, allow_pickle=False, **arrays)


def read(path: Path) -> Arrays:
    """Rows scaled by mean and standard deviation of the training rows: each feature, or all pixels together."""
    with np.load(path) as file:
        raw = {name: file[name] for name in file.files}
    axes = None if raw["x"].ndim > 2 else 0
    mean, std = raw["x"].mean(axis=axes, dtype=np.float64), raw["x"].std(axis=axes, dtype=np.float64)
    scale = (1 / np.where(std == 0, 1, std)).astype(np.float32)
    x, x_test = ((raw[name].astype(np.float32) - mean.astype(np.float32)) * scale for name in ("x", "x_test"))
    return Arrays(x, raw["y"].astype(np.int64), x_test, raw["y_test"].astype(np.int64))


def _digits() -> dict[str, NDArray[Any]]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    test, train = np.split(order, [round(TEST_SHARE * len(x))])
    return {"x": x[train], "y": y[train], "x_test": x[test], "y_test": y[test]}


def _fashion() -> dict[str, NDArray[Any]]:
    from ensemble.config import DataConfig
    from ensemble.data.load import load_dataset

    data = load_dataset(DataConfig(data="fashion-mnist", valid=0), seed=0)
    parts = {"": data.train, "_test": data.test}
    return {f"{name}{part}": getattr(data, name)[rows] for part, rows in parts.items() for name in "xy"}
