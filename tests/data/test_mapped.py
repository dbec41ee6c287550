"""Arrays that lie in a file: found there, known again, and never copied."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.config import DataConfig
from ensemble.data.load import load_dataset
from ensemble.data.mapped import mapped_file


def saved(path: Path, rows: int = 40) -> np.ndarray:
    x = np.random.default_rng(0).integers(0, 255, size=(rows, 1, 4, 4), dtype=np.uint8)
    np.save(path, x)
    return x


def test_an_array_is_found_again_in_its_file(tmp_path: Path) -> None:
    x = saved(tmp_path / "x.npy")
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for view, plain in (
        (mapped, x),
        (np.asarray(mapped), x),
        (mapped[7:], x[7:]),
        (np.asarray(mapped[3:])[4:9], x[7:12]),
        (np.ascontiguousarray(mapped)[2:, None], x[2:, None]),
    ):
        file = mapped_file(view)
        assert file is not None
        assert file.is_here()
        np.testing.assert_array_equal(file.open(), plain)
        assert not file.open().flags.writeable


@given(start=st.integers(0, 39), rows=st.integers(1, 40))
def test_any_run_of_rows_is_found(tmp_path_factory: pytest.TempPathFactory, start: int, rows: int) -> None:
    path = tmp_path_factory.mktemp("rows") / "x.npy"
    x = saved(path)
    file = mapped_file(np.load(path, mmap_mode="r")[start : start + rows])
    assert file is not None
    np.testing.assert_array_equal(file.open(), x[start : start + rows])


def test_what_lies_in_no_file_is_not_mapped(tmp_path: Path) -> None:
    saved(tmp_path / "x.npy")
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    own = np.load(tmp_path / "x.npy", mmap_mode="c")  # may have been written to in memory
    for array in (np.zeros(3), mapped + 1, mapped[::2], np.moveaxis(mapped, 3, 1), own):
        assert mapped_file(array) is None


@pytest.mark.parametrize("change", ["gone", "longer", "later"])
def test_another_file_is_not_taken_for_it(tmp_path: Path, change: str) -> None:
    path = tmp_path / "x.npy"
    saved(path)
    file = mapped_file(np.load(path, mmap_mode="r"))
    assert file is not None
    if change == "gone":
        path.unlink()
    elif change == "longer":
        path.write_bytes(path.read_bytes() + b"0")
        os.utime(path, ns=(file.modified, file.modified))
    else:
        os.utime(path, ns=(file.modified, file.modified + 1))
    assert not file.is_here()


def test_images_that_a_function_maps_stay_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "x.npy")
    (tmp_path / "mapped_images.py").write_text(
        "import numpy as np\ndef load():\n    return np.load('x.npy', mmap_mode='r'), np.arange(40) % 3\n"
    )
    monkeypatch.chdir(tmp_path)
    data = load_dataset(DataConfig(data="mapped_images:load"), seed=0)
    file = mapped_file(data.x)
    assert file is not None
    assert file.path == str(tmp_path / "x.npy")
