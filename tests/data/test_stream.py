"""Rows a piece at a time are the rows as a whole, whatever they come from, and no more of them is held than a piece."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from ensemble.config import DataConfig
from ensemble.data.load import load_dataset, load_rows
from ensemble.data.stream import RowStream
from ensemble.errors import DataError
from tests.data.files import PEOPLE, write_csv, write_idx, write_images


def npz(path: Path, *, compressed: bool = False, **arrays: Any) -> str:
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return str(path)


def features(rows: int = 40) -> dict[str, Any]:
    return {"x": np.random.default_rng(0).normal(3, 2, size=(rows, 3)), "y": np.arange(rows) % 2}


def sources(folder: Path, kind: str) -> tuple[DataConfig, str]:
    """What a run is trained on, and new rows for it."""
    if kind == "idx":
        return DataConfig(data=str(write_idx(folder))), str(folder)
    if kind == "images":
        write_images(folder / "train", each=8)
        write_images(folder / "test", each=3)
        return DataConfig(data=str(folder)), str(folder)
    if kind in ("csv", "parquet"):
        path = write_csv(folder / "a.csv", PEOPLE)
        if kind == "csv":
            return DataConfig(data=str(path), target="label"), str(path)
        pyarrow.parquet.write_table(pyarrow.csv.read_csv(path), folder / "b.parquet")
        return DataConfig(data=str(path), target="label"), str(folder / "b.parquet")
    if kind == "floats that are bytes":
        x = load_dataset(DataConfig(data="digits"), seed=0).x[:9, 0].astype(float)
        return DataConfig(data="digits"), npz(folder / "b.npz", x=x)
    new = npz(folder / "b.npz", compressed=kind == "compressed", x=features(23)["x"])
    return DataConfig(data=npz(folder / "a.npz", **features())), new


@pytest.mark.parametrize("piece", [4, 1000])
@pytest.mark.parametrize(
    "kind", ["npz", "compressed", "idx", "images", "csv", "parquet", "floats that are bytes"]
)
def test_pieces_are_the_whole(tmp_path: Path, kind: str, piece: int) -> None:
    config, new = sources(tmp_path, kind)
    spec = load_dataset(config, seed=0).spec
    whole = load_rows(new, spec, labelled=False)
    stream = RowStream(new, spec, piece=piece)
    pieces = list(stream)
    assert [len(x) for x in pieces[:-1]] == [piece] * (len(pieces) - 1)
    assert np.array_equal(np.concatenate(pieces), whole.x)
    assert pieces[0].dtype == whole.x.dtype
    assert stream.rows == len(whole.x)
    assert set(stream.note.split("; ")) == set(whole.note.split("; "))


@pytest.mark.parametrize("ending", ["npz", "csv", "parquet"])
def test_no_more_is_held_than_a_piece(tmp_path: Path, ending: str) -> None:
    """Of 41 MB of rows, which ``load_rows`` holds more than twice; a CSV file is read some megabytes ahead."""
    rows, width = 80_000, 64
    names = [f"f{number}" for number in range(width)]
    x = np.tile(np.random.default_rng(0).integers(0, 9, size=(100, width)).astype(float), (rows // 100, 1))
    table = pa.table({name: x[:, place] for place, name in enumerate(names)})
    if ending == "npz":
        spec = load_dataset(
            DataConfig(data=npz(tmp_path / "a.npz", x=x[:100], y=np.arange(100) % 2)), seed=0
        ).spec
        new = npz(tmp_path / "b.npz", x=x)
    else:
        first = table.slice(0, 100).append_column("y", pa.array(np.arange(100) % 2))
        pyarrow.csv.write_csv(first, tmp_path / "a.csv")
        spec = load_dataset(DataConfig(data=str(tmp_path / "a.csv"), target="y"), seed=0).spec
        new = str(tmp_path / f"b.{ending}")
        if ending == "csv":
            pyarrow.csv.write_csv(table, new)
        else:
            pyarrow.parquet.write_table(table, new, row_group_size=5000)
    del x, table
    arrow = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        most = max(pa.total_allocated_bytes() - arrow for _ in RowStream(new, spec, piece=1000))
        assert tracemalloc.get_traced_memory()[1] + most < 27_000_000
    finally:
        tracemalloc.stop()


def test_rows_that_cannot_be_used_are_named_by_their_place_in_the_file(tmp_path: Path) -> None:
    spec = load_dataset(DataConfig(data=npz(tmp_path / "a.npz", **features())), seed=0).spec
    for value, message in (
        (np.nan, r"row 17 of x in .*, column 1 .* holds nan"),
        (3e38, r"row 17 of x in .* too far"),
    ):
        x = features(30)["x"]
        x[17, 1] = value
        narrow = spec.model_copy(update={"std": (1e-9,) * 3})
        with pytest.raises(DataError, match=message):
            list(RowStream(npz(tmp_path / "b.npz", x=x), narrow if value == 3e38 else spec, piece=5))
    with pytest.raises(DataError, match=r"is a table"):
        RowStream(str(write_csv(tmp_path / "p.csv", PEOPLE)), spec, piece=5)
    with pytest.raises(DataError, match=r"rows of shape \(4,\)"):
        list(RowStream("iris", spec, piece=5))
