"""Small data sets, plans and configurations whose answers are known; shared by the tests of several rooms."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np

from ensemble.config import RunConfig, make_config
from ensemble.data.dataset import Dataset, DataSpec
from ensemble.members.plan import MemberPlan, plan_members, resolve
from ensemble.training.events import Event


def blobs(
    *, rows: int = 120, classes: int = 3, features: int = 4, seed: int = 0, spread: float = 0.6
) -> Dataset:
    """Gaussian clouds around far apart centres: a network learns them in a few epochs."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % classes
    x = rng.normal(scale=3.0, size=(classes, features))[y] + rng.normal(scale=spread, size=(rows, features))
    train, valid, test = np.split(rng.permutation(rows), [rows * 6 // 10, rows * 8 // 10])
    mean, std = x[train].mean(axis=0), x[train].std(axis=0)
    spec = DataSpec(
        source="blobs",
        task="classification",
        shape=(features,),
        classes=tuple(f"class {k}" for k in range(classes)),
        standardize="features",
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        sha256="blobs",
    )
    scaled = ((x - mean) / std).astype(np.float32)
    return Dataset(spec, scaled, y.astype(np.int64), np.sort(train), np.sort(valid), np.sort(test))


def images(*, rows: int = 90, classes: int = 3, side: int = 16, seed: int = 0) -> Dataset:
    """Bytes: dark images in which a bright band lies higher or lower, by class."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % classes
    x = rng.integers(0, 60, size=(rows, 1, side, side), dtype=np.uint8)
    band = side // classes
    for row, label in enumerate(y):
        x[row, 0, label * band : (label + 1) * band] += 150
    train, valid, test = np.split(rng.permutation(rows), [rows * 6 // 10, rows * 8 // 10])
    spec = DataSpec(
        source="bands",
        task="classification",
        shape=(1, side, side),
        classes=tuple(str(k) for k in range(classes)),
        standardize="pixels",
        mean=(float(x[train].mean()),),
        std=(float(x[train].std()),),
        sha256="bands",
    )
    return Dataset(spec, x, y.astype(np.int64), np.sort(train), np.sort(valid), np.sort(test))


def line(*, rows: int = 150, seed: int = 0) -> Dataset:
    """y = 100 + 20 x₀ − 10 x₁ + noise of 2: regression in a unit far from the standardized one."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2)).astype(np.float32)
    y = 100 + 20 * x[:, 0] - 10 * x[:, 1] + rng.normal(scale=2.0, size=rows)
    train, valid, test = np.split(rng.permutation(rows), [rows * 6 // 10, rows * 8 // 10])
    spec = DataSpec(
        source="line",
        task="regression",
        shape=(2,),
        standardize="none",
        mean=(0.0,),
        std=(1.0,),
        target_mean=float(y[train].mean()),
        target_std=float(y[train].std()),
        sha256="line",
    )
    return Dataset(spec, x, y.astype(np.float64), np.sort(train), np.sort(valid), np.sort(test))


def config_for(data: Dataset, **options: Any) -> RunConfig:
    """A resolved configuration, small and quick unless the options say otherwise."""
    quick = {"hidden": (16,), "epochs": 4, "batch_size": 16, "members": 2, "pool": "serial", "lr": 0.01}
    quick |= {"precision": "float32"}
    return resolve(make_config(quick | options), data.spec)


def plans_for(data: Dataset, **options: Any) -> tuple[MemberPlan, ...]:
    """Plans of the members of that configuration."""
    return plan_members(config_for(data, **options), data.spec)


def events_of(said: Iterable[tuple[Event, ...]]) -> list[Event]:
    """One by one, what a task says at once."""
    return list(chain.from_iterable(said))
