"""The face: whole data sets from configurations, and new rows made into the same inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.config import DataConfig
from ensemble.data.dataset import Dataset, DataSpec
from ensemble.data.load import load_dataset, load_rows
from ensemble.errors import DataError
from tests.data.files import PEOPLE, write_csv, write_idx, write_images


def npz(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


def features(rows: int = 40, *, classes: int = 2) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(3, 2, size=(rows, 3)), "y": np.arange(rows) % classes}


def check_parts(data: Dataset) -> None:
    parts = np.concatenate([data.train, data.valid, data.test])
    assert sorted(parts) == list(range(len(data.x)))
    assert len(data.y) == len(data.x)
    assert data.x.shape[1:] == data.spec.shape
    assert data.x.flags.c_contiguous
    assert str(data.x.dtype) == data.spec.dtype
    assert DataSpec.model_validate_json(data.spec.model_dump_json()) == data.spec


def test_features_are_standardized_by_the_training_rows(tmp_path: Path) -> None:
    data = load_dataset(DataConfig(data=npz(tmp_path / "a.npz", **features())), seed=0)
    check_parts(data)
    assert np.allclose(data.x[data.train].mean(axis=0), 0, atol=1e-6)
    assert np.allclose(data.x[data.train].std(axis=0), 1, atol=1e-6)
    raw = features()["x"]
    assert np.allclose(data.x * data.spec.std + data.spec.mean, raw, atol=1e-5)
    assert (len(data.train), len(data.valid), len(data.test)) == (29, 3, 8)


def test_the_seed_decides_the_split_and_nothing_else_does(tmp_path: Path) -> None:
    config = DataConfig(data=npz(tmp_path / "a.npz", **features()))
    first, again, other = (load_dataset(config, seed=seed) for seed in (0, 0, 1))
    assert first.spec == again.spec
    assert np.array_equal(first.x, again.x)
    assert first.spec.sha256 != other.spec.sha256


def test_idx_keeps_bytes_and_its_own_test_rows(tmp_path: Path) -> None:
    data = load_dataset(DataConfig(data=str(write_idx(tmp_path))), seed=0)
    check_parts(data)
    assert data.x.dtype == np.uint8
    assert data.test.tolist() == list(range(20, 30))
    assert data.spec.standardize == "pixels"
    assert "test rows: the source's own" in data.spec.notes


def test_fraction_leaves_own_test_rows_out_and_says_so(tmp_path: Path) -> None:
    data = load_dataset(DataConfig(data=str(write_idx(tmp_path)), test=0.2, valid=0), seed=0)
    check_parts(data)
    assert (len(data.x), len(data.test), len(data.valid)) == (20, 4, 0)
    assert any("own test rows are left out" in note for note in data.spec.notes)


def test_test_rows_from_another_source(tmp_path: Path) -> None:
    rows = features()
    other = npz(tmp_path / "b.npz", x=rows["x"][:6].astype(np.float32), y=np.zeros(6, int))
    data = load_dataset(DataConfig(data=npz(tmp_path / "a.npz", **rows), test=other), seed=0)
    check_parts(data)
    assert data.test.tolist() == list(range(40, 46))
    assert any(note == "classes without a test row: '1'" for note in data.spec.notes)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"x": np.zeros((4, 3)), "y": [0, 0, 7, 1]}, "row 2 of x in .* label '7', which no training row has"),
        (
            {"x": np.zeros((4, 2)), "y": [0, 0, 1, 1]},
            r"rows of shape \(2,\), but the training rows have shape \(3,\)",
        ),
        ({"x": np.zeros((4, 3)), "y": ["a", "b", "a", "b"]}, "label 'a'"),
    ],
)
def test_test_rows_that_differ_are_refused(tmp_path: Path, other: Any, message: str) -> None:
    config = DataConfig(data=npz(tmp_path / "a.npz", **features()), test=npz(tmp_path / "b.npz", **other))
    with pytest.raises(DataError, match=message):
        load_dataset(config, seed=0)


def test_tables_and_arrays_do_not_mix(tmp_path: Path) -> None:
    people = str(write_csv(tmp_path / "p.csv", PEOPLE))
    with pytest.raises(DataError, match=r"the training rows are arrays or images, but .* is a table"):
        load_dataset(DataConfig(data="iris", test=people), seed=0)
    with pytest.raises(DataError, match=r"the training rows are a table, but 'iris' is arrays or images"):
        load_dataset(DataConfig(data=people, target="label", test="iris"), seed=0)


def test_one_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has one row"):
        load_dataset(DataConfig(data=npz(tmp_path / "a.npz", x=[[1.0]], y=[1.0])), seed=0)


def test_class_of_one_row_is_kept_for_training_and_said(tmp_path: Path) -> None:
    rows = features()
    rows["y"][5] = 9
    data = load_dataset(DataConfig(data=npz(tmp_path / "a.npz", **rows)), seed=0)
    assert 5 in data.train
    assert "classes with a single row, kept for training: '9'" in data.spec.notes
    assert "classes without a test row: '9'" in data.spec.notes


def test_regression_keeps_its_unit(tmp_path: Path) -> None:
    rows = features()
    rows["y"] = np.linspace(100, 200, 40)
    data = load_dataset(DataConfig(data=npz(tmp_path / "a.npz", **rows)), seed=0)
    check_parts(data)
    assert np.array_equal(data.y, rows["y"])
    assert data.spec.target_mean == pytest.approx(data.y[data.train].mean())
    assert data.spec.target_std == pytest.approx(data.y[data.train].std())


def test_standardize_none_leaves_values(tmp_path: Path) -> None:
    rows = features()
    data = load_dataset(DataConfig(data=npz(tmp_path / "a.npz", **rows), standardize="none"), seed=0)
    assert np.array_equal(data.x, rows["x"].astype(np.float32))
    assert (data.spec.mean, data.spec.std) == ((0.0,), (1.0,))


def test_byte_features_become_floats(tmp_path: Path) -> None:
    rows = features() | {"x": np.arange(120, dtype=np.uint8).reshape(40, 3)}
    assert load_dataset(DataConfig(data=npz(tmp_path / "a.npz", **rows)), seed=0).x.dtype == np.float32


def test_table_from_file_to_features_and_back(tmp_path: Path) -> None:
    path = str(write_csv(tmp_path / "p.csv", PEOPLE))
    data = load_dataset(DataConfig(data=path, target="label", valid=0.2), seed=0)
    check_parts(data)
    assert data.spec.classes == ("no", "yes")
    assert any("column 'age'" in note for note in data.spec.notes)
    rows = load_rows(path, data.spec, labelled=True)
    assert np.array_equal(rows.x, data.x)
    assert rows.y is not None
    assert np.array_equal(rows.y, data.y)
    assert rows.index.tolist() == list(range(10))
    blind = write_csv(tmp_path / "q.csv", "height,color,age,member\n2,violet,,true")
    new = load_rows(str(blind), data.spec, labelled=False)
    assert new.y is None
    assert new.x.shape == (1, *data.spec.shape)
    assert "with a value that no training row has" in new.note
    with pytest.raises(DataError, match=r"no column 'label'"):
        load_rows(str(blind), data.spec, labelled=True)


def test_test_table_is_read_like_the_training_table(tmp_path: Path) -> None:
    train = write_csv(
        tmp_path / "a.csv", "zip,y\n" + "\n".join(f"{'01A' if i % 2 else '007'},{i % 2}" for i in range(20))
    )
    test = write_csv(tmp_path / "b.csv", "zip,y\n007,1\n007,0")
    data = load_dataset(DataConfig(data=str(train), target="y", test=str(test)), seed=0)
    check_parts(data)
    assert data.spec.columns[0].categories == ("007", "01A")
    assert np.array_equal(data.x[20], data.x[0])


def test_new_rows_are_the_inputs_of_the_run(tmp_path: Path) -> None:
    source = npz(tmp_path / "a.npz", **features())
    data = load_dataset(DataConfig(data=source), seed=0)
    rows = load_rows(source, data.spec, labelled=True)
    assert np.array_equal(rows.x, data.x)
    assert "all 40 rows are taken" in rows.note
    assert "rows that this run was trained on" in rows.note
    other = load_rows(npz(tmp_path / "b.npz", **features()), data.spec, labelled=True)
    assert "was trained on" not in other.note


def test_new_rows_of_a_source_with_test_rows_are_those(tmp_path: Path) -> None:
    source = str(write_idx(tmp_path))
    data = load_dataset(DataConfig(data=source), seed=0)
    rows = load_rows(source, data.spec, labelled=True)
    assert np.array_equal(rows.x, data.x[data.test])
    assert rows.x.dtype == np.uint8
    assert "its own 10 test rows are taken" in rows.note
    assert "was trained on" not in rows.note


def test_new_rows_that_differ_are_refused(tmp_path: Path) -> None:
    spec = load_dataset(DataConfig(data=npz(tmp_path / "a.npz", **features())), seed=0).spec
    with pytest.raises(DataError, match=r"rows of shape \(4,\), but the training rows have shape \(3,\)"):
        load_rows("iris", spec, labelled=False)
    with pytest.raises(DataError, match=r"is a table"):
        load_rows(str(write_csv(tmp_path / "p.csv", PEOPLE)), spec, labelled=False)
    with pytest.raises(DataError, match=r"label '5', which no training row has"):
        load_rows(npz(tmp_path / "b.npz", x=np.zeros((1, 3)), y=[5]), spec, labelled=True)
    with pytest.raises(DataError, match=r"no array 'y'"):
        load_rows(npz(tmp_path / "b.npz", x=np.zeros((1, 3))), spec, labelled=True)
    with pytest.raises(DataError, match=r"too far from the training rows"):
        load_rows(npz(tmp_path / "b.npz", x=np.full((1, 3), 3e38)), tiny(spec), labelled=False)


def tiny(spec: DataSpec) -> DataSpec:
    return spec.model_copy(update={"std": (1e-9,) * 3})


def test_image_folders_from_training_to_prediction(tmp_path: Path) -> None:
    write_images(tmp_path / "train", each=8)
    write_images(tmp_path / "test", each=3)
    data = load_dataset(DataConfig(data=str(tmp_path), valid=0.25), seed=0)
    check_parts(data)
    assert data.spec.classes == ("cat", "dog")
    assert (len(data.train), len(data.valid), len(data.test)) == (12, 4, 6)
    assert load_rows(str(tmp_path / "test" / "dog"), data.spec, labelled=False).x.shape == (3, 3, 5, 6)


def test_digits_as_floats_are_the_same_images(tmp_path: Path) -> None:
    data = load_dataset(DataConfig(data="digits"), seed=0)
    rows = load_rows(npz(tmp_path / "a.npz", x=data.x[:5, 0].astype(float)), data.spec, labelled=False)
    assert rows.x.dtype == np.uint8
    assert np.array_equal(rows.x, data.x[:5])
    assert "read as bytes" in rows.note
