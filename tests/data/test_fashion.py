"""Fashion-MNIST: where it is looked for, and the real files where they are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ensemble.config import DataConfig
from ensemble.data import fashion
from ensemble.data.fashion import CLASSES, DEBIAN, read_fashion
from ensemble.data.load import load_dataset
from ensemble.errors import DataError
from tests.data.files import write_idx


@pytest.fixture(autouse=True)
def _nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENSEMBLE_DATA", raising=False)
    monkeypatch.setattr(fashion, "DEBIAN", tmp_path / "debian")


def test_places_are_tried_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENSEMBLE_DATA", str(tmp_path / "env"))
    write_idx(tmp_path / "debian")
    assert "debian" in read_fashion(None).notes[0]
    write_idx(tmp_path / "env" / "fashion-mnist")
    assert "env/fashion-mnist" in read_fashion(None).notes[0]
    write_idx(tmp_path / "env")
    assert "env'" in read_fashion(None).notes[0]
    write_idx(tmp_path / "named", zipped=False)
    source = read_fashion(str(tmp_path / "named"))
    assert "named" in source.notes[0]
    assert source.rows.names == CLASSES
    assert (len(source.rows), len(source.test or ())) == (20, 10)


def test_absence_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    write_idx(tmp_path / "half")
    for path in (tmp_path / "half").glob("t10k*"):
        path.unlink()
    with pytest.raises(
        DataError, match=r"half', .*debian'; install the Debian package dataset-fashion-mnist"
    ):
        read_fashion(str(tmp_path / "half"))


@pytest.mark.fashion
@pytest.mark.skipif(not DEBIAN.is_dir(), reason="the Debian package dataset-fashion-mnist is not installed")
def test_real_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion, "DEBIAN", DEBIAN)
    data = load_dataset(DataConfig(data="fashion-mnist"), seed=0)
    assert data.x.shape == (70_000, 1, 28, 28)
    assert data.x.dtype == np.uint8
    assert (len(data.train), len(data.valid), len(data.test)) == (54_000, 6_000, 10_000)
    assert np.bincount(data.y[data.valid]).tolist() == [600] * 10
    assert data.spec.classes == CLASSES
    assert data.spec.mean == pytest.approx((data.x[data.train].mean(dtype=np.float64),), rel=1e-9)
    assert data.spec.std == pytest.approx((data.x[data.train].std(dtype=np.float64),), rel=1e-9)
