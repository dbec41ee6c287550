"""What `ensemble data` says of a source."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ensemble.config import DataConfig
from ensemble.data.describe import describe
from tests.data.files import PEOPLE, write_csv, write_idx


def test_table(tmp_path: Path) -> None:
    path = str(write_csv(tmp_path / "p.csv", PEOPLE))
    said = describe(DataConfig(data=path, target="label"))
    assert (said.rows, said.shape, said.dtype) == ({"rows": 10, "test": 0}, (4,), "table")
    assert (said.task, said.classes, said.target) == ("classification", {"no": 5, "yes": 5}, None)
    assert said.missing == {"age": 1, "color": 1}
    assert said.categories == {"color": 3}
    assert said.values is not None
    assert (said.values["min"], said.values["max"]) == (0, 95)
    assert json.loads(json.dumps(said.as_json()))["shape"] == [4]


def test_scales_and_constant_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 4)) * [1, 1, 1e4, 0]
    np.savez(tmp_path / "a.npz", x=x, y=rng.normal(size=100))
    said = describe(DataConfig(data=str(tmp_path / "a.npz")))
    assert list(said.differing) == ["feature 2"]
    assert said.constant == ("feature 3",)
    assert said.classes == {}
    assert said.target is not None
    assert said.values is not None
    assert np.allclose([said.values["mean"], said.values["std"]], [x.mean(), x.std()])


def test_images_by_channel(tmp_path: Path) -> None:
    said = describe(DataConfig(data=str(write_idx(tmp_path))))
    assert (said.rows, said.shape, said.dtype) == ({"rows": 20, "test": 10}, (1, 5, 5), "uint8")
    assert said.classes == {"0": 5, "1": 5, "2": 5, "3": 5}
    assert said.constant == ()


def test_without_numbers_there_are_no_scales(tmp_path: Path) -> None:
    path = str(write_csv(tmp_path / "p.csv", "a,b\nx,0\ny,1\nx,0"))
    assert describe(DataConfig(data=path, target="b")).values is None
