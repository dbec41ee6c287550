"""Inputs scaled to mean 0 and standard deviation 1 by statistics of the training rows.

    x̄ = (x − E[x]) / sqrt(E[(x − E[x])²])

for each feature, or for each channel of an image (``pixels``). A constant feature has std 1, so it becomes 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ensemble.data.checks import chunks
from ensemble.data.dataset import Array, DataSpec, Rows
from ensemble.data.raw import Where
from ensemble.errors import DataError

Mode = Literal["none", "features", "pixels"]
Statistics = tuple[float, ...]


@dataclass(frozen=True)
class Scales:
    """Statistics of each feature, or of each channel: four float64 vectors of one length."""

    low: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Where all values are the same; told by the extremes, since a rounded std need not be 0."""
        same: NDArray[np.bool_] = self.low == self.high
        return same


def choose_mode(asked: Literal["auto", "none", "features", "pixels"], shape: tuple[int, ...]) -> Mode:
    """What ``auto`` means for these rows: pixels for images, features otherwise.

    Raises:
        DataError: pixels asked for rows that are no images.
    """
    images = len(shape) == 3
    if asked == "pixels" and not images:
        raise DataError(f"standardize pixels needs images, but a row has shape {shape}; use features or auto")
    if asked == "auto":
        return "pixels" if images else "features"
    return asked


def fit(x: Array, mode: Mode, *, rows: Rows | None = None) -> tuple[Statistics, Statistics]:
    """Mean and standard deviation of the training rows.

    Args:
        x: ``(rows, …)`` inputs of any number type.
        mode: ``features``: one value an input, in the order of ``x.reshape(rows, −1)``; ``pixels``: one value
            a channel; ``none``: a single 0 and a single 1.
        rows: Which rows are training rows; None for all.
    """
    if mode == "none":
        return (0.0,), (1.0,)
    scales = measure(x, channels=mode == "pixels", rows=rows)
    std = np.where(scales.constant | (scales.std == 0), 1.0, scales.std)
    return tuple(scales.mean.tolist()), tuple(std.tolist())


def measure(x: Array, *, channels: bool, rows: Rows | None = None) -> Scales:
    """Statistics in float64, a chunk of rows at a time, so that no float64 copy of everything is made.

    Chunks are joined by Chan, Golub & LeVeque (1979), "Updating formulae and a pairwise algorithm for
    computing sample variances": δ = m_b − m;  m ← m + δ n_b/n;  M2 ← M2 + M2_b + δ² n_a n_b/n.
    """
    count = len(x) if rows is None else len(rows)
    width = x.shape[1] if channels else math.prod(x.shape[1:])
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    mean, squares, seen = np.zeros(width), np.zeros(width), 0
    for part in chunks(count, x.shape[1:]):
        chunk = x[part] if rows is None else x[rows[part]]
        values = chunk.astype(np.float64).reshape(len(chunk), width, -1)
        low, high = np.minimum(low, values.min(axis=(0, 2))), np.maximum(high, values.max(axis=(0, 2)))
        size = values.shape[0] * values.shape[2]
        chunk_mean = values.mean(axis=(0, 2))
        values -= chunk_mean[:, None]
        delta = chunk_mean - mean
        squares += np.einsum("rfv,rfv->f", values, values) + delta**2 * (seen * size / (seen + size))
        mean += delta * (size / (seen + size))
        seen += size
    constant = low == high
    return Scales(low, np.where(constant, low, mean), np.where(constant, 0.0, np.sqrt(squares / seen)), high)


def standardize_array(x: Array, spec: DataSpec, *, where: Where = "row {}".format) -> NDArray[np.float32]:
    """Rows as the network takes them: (x − mean) / std with the run's statistics.

    Args:
        x: ``(rows, *spec.shape)`` of any number type, not yet standardized.
        spec: Holds the statistics.
        where: Names a row in messages.

    Raises:
        DataError: a value so far from the training rows that float32 cannot hold it.
    """
    return apply(x, mode=spec.standardize, mean=spec.mean, std=spec.std, where=where)


def apply(
    x: Array, *, mode: Mode, mean: Statistics, std: Statistics, where: Where = "row {}".format
) -> NDArray[np.float32]:
    """(x − mean) / std in float64, a chunk at a time, as a contiguous float32 array of the shape of ``x``."""
    shape = x.shape[1:]
    axes = shape if mode == "features" else (-1, *[1] * (len(shape) - 1))
    centre, scale = np.reshape(mean, axes), np.reshape(std, axes)
    out = np.empty(x.shape, dtype=np.float32)
    for rows in chunks(len(x), shape):
        with np.errstate(over="ignore"):
            out[rows] = (x[rows] - centre) / scale
        if not np.isfinite(out[rows]).all():
            row, *position = (int(axis[0]) for axis in np.nonzero(~np.isfinite(out[rows])))
            raise DataError(
                f"{where(row + rows.start)}, position {tuple(position)} (counted from 0) holds "
                f"{x[rows][(row, *position)]}, too far from the training rows' scale for float32"
            )
    return out
