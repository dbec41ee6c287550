"""Files of predictions: what is read back, what a spreadsheet may see, and what a crash leaves."""

import csv
import errno
import io
import sys

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.errors import EnsembleError, UsageError
from ensemble.reports import prediction_files
from ensemble.reports.prediction_files import (
    ClassPredictions,
    PredictionWriter,
    ValuePredictions,
    columns,
    distinct,
    spreadsheet_safe,
    write_predictions,
)

ENDINGS = [".csv", ".parquet", ".npz"]


def of_classes(rows=3, classes=("cat", "=cmd", "-1"), *, first=0, total=True) -> ClassPredictions:
    rng = np.random.default_rng(first)
    probabilities = rng.dirichlet(np.ones(len(classes)), size=rows).astype(np.float32)
    predicted = probabilities.argmax(1)
    entropy = rng.random(rows) if total else None
    return ClassPredictions(
        row=np.arange(first, first + rows),
        classes=tuple(classes),
        predicted=predicted,
        probabilities=probabilities,
        confidence=probabilities.max(1),
        total=entropy,
        aleatoric=entropy,
        epistemic=None if entropy is None else np.zeros(rows),
    )


def of_values(rows=3, *, first=0, variance=True) -> ValuePredictions:
    mean = np.linspace(-1.5, 2, rows)
    std = np.full(rows, 0.25) if variance else None
    return ValuePredictions(
        row=np.arange(first, first + rows),
        mean=mean,
        std=std,
        low95=mean - 0.49 if variance else None,
        high95=mean + 0.49 if variance else None,
        aleatoric=std,
        epistemic=np.full(rows, 0.01),
    )


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_names_probabilities_and_uncertainty(tmp_path):
    table = of_classes()
    write_predictions(table, tmp_path / "out.csv")
    rows = read_csv(tmp_path / "out.csv")
    assert list(rows[0]) == [
        *("row", "predicted", "confidence", "total", "aleatoric", "epistemic", "p(cat)", "p(=cmd)", "p(-1)")
    ]
    back = np.array([[row["p(cat)"], row["p(=cmd)"], row["p(-1)"]] for row in rows], dtype=np.float32)
    np.testing.assert_array_equal(back, table.probabilities)
    names = [spreadsheet_safe(table.classes[index]) for index in table.predicted]
    assert [row["predicted"] for row in rows] == names


def test_csv_numbers_are_the_shortest_that_read_back(tmp_path):
    table = of_values(1)
    write_predictions(table, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "row,mean,std,low95,high95,aleatoric,epistemic",
        "0,-1.5,0.25,-1.99,-1.01,0.25,0.01",
    ]
    write_predictions(of_classes(1, ("a",)), tmp_path / "one.csv")
    assert (tmp_path / "one.csv").read_text().splitlines()[1].startswith("0,a,1,")


def test_what_has_no_meaning_is_an_empty_column(tmp_path):
    write_predictions(of_values(2, variance=False), tmp_path / "out.csv")
    assert [row["std"] for row in read_csv(tmp_path / "out.csv")] == ["", ""]
    write_predictions(of_classes(2, total=False), tmp_path / "out.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet")["total"].to_pylist() == [None, None]
    write_predictions(of_values(2, variance=False), tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        assert np.isnan(arrays["std"]).all()


def test_parquet_keeps_names_and_types(tmp_path):
    table = of_classes()
    write_predictions(table, tmp_path / "out.parquet")
    back = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert back.column_names == list(columns(table))
    assert back["predicted"].to_pylist() == [table.classes[index] for index in table.predicted]
    np.testing.assert_array_equal(back["p(cat)"].to_numpy(), table.probabilities[:, 0])


def test_npz_holds_the_arrays_and_wants_no_pickle(tmp_path):
    table = of_classes()
    write_predictions(table, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
        assert tuple(arrays["classes"]) == table.classes
        for name in ("row", "predicted", "probabilities", "confidence", "total", "aleatoric", "epistemic"):
            np.testing.assert_array_equal(arrays[name], getattr(table, name))
            assert arrays[name].dtype == getattr(table, name).dtype


@pytest.mark.parametrize("make", [of_classes, of_values])
@pytest.mark.parametrize("ending", ENDINGS)
def test_chunks_make_the_file_that_one_table_makes(tmp_path, ending, make):
    parts = [make(2), make(1, first=2), make(3, first=3)]
    with PredictionWriter(tmp_path / f"parts{ending}") as writer:
        for part in parts:
            writer.write(part)
    merged = {
        name: value if name == "classes" else np.concatenate([getattr(part, name) for part in parts])
        for name, value in vars(parts[0]).items()
    }
    write_predictions(type(parts[0])(**merged), tmp_path / f"whole{ending}")
    if ending == ".csv":
        assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    elif ending == ".parquet":
        tables = [pyarrow.parquet.read_table(tmp_path / f"{name}.parquet") for name in ("parts", "whole")]
        assert tables[0].equals(tables[1])
    else:
        with np.load(tmp_path / "parts.npz") as left, np.load(tmp_path / "whole.npz") as right:
            assert set(left) == set(right)
            for name in left:
                np.testing.assert_array_equal(left[name], right[name])


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_of_that_name_is_replaced_only_by_a_whole_one(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    path.write_text("old")

    def stopped():
        with PredictionWriter(path) as writer:
            writer.write(of_classes())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    write_predictions(of_classes(), path)
    assert path.read_bytes() != b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "target.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("target.csv")
    write_predictions(of_values(), tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text() != "old"


def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    path.write_text("old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(prediction_files.os, "fsync", full)
    with pytest.raises(EnsembleError, match=r"out\.csv.*No space left"):
        write_predictions(of_values(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_that_fails_midway_is_said(tmp_path, monkeypatch):
    def full(values, *, rows):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(prediction_files, "_cells", full)
    with pytest.raises(EnsembleError, match="No space left"):
        write_predictions(of_values(), tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.xlsx", "out", "out.csv.gz", ".csv"])
def test_another_ending_is_refused_with_those_there_are(tmp_path, name):
    with pytest.raises(UsageError, match=r"\.csv, \.parquet, \.npz"):
        PredictionWriter(tmp_path / name)


def test_places_where_nothing_can_be_written_are_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match="directory"):
        PredictionWriter(tmp_path / "folder.csv")
    with pytest.raises(UsageError, match=r"no directory '.*nowhere'"):
        PredictionWriter(tmp_path / "nowhere" / "out.csv")


@pytest.mark.parametrize("other", [of_values(), of_classes(classes=("a", "b"))])
def test_tables_of_one_file_are_alike(tmp_path, other):
    def mixed():
        with PredictionWriter(tmp_path / "out.csv") as writer:
            writer.write(of_classes())
            writer.write(other)

    with pytest.raises(ValueError, match="the first table is"):
        mixed()
    assert list(tmp_path.iterdir()) == []


def test_no_table_makes_no_file(tmp_path):
    with pytest.raises(ValueError, match="no table"), PredictionWriter(tmp_path / "out.csv"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_dash_is_csv_on_standard_output_which_stays_open(monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", output)
    write_predictions(of_classes(classes=("größer", "kleiner")), "-")
    print("after", flush=True)
    written = output.buffer.getvalue().decode("utf-8")
    assert "p(größer)" in written.splitlines()[0]
    assert written.endswith("after\n")


def test_a_reader_that_left_is_no_error_of_writing(monkeypatch):
    class Left(io.BytesIO):
        def write(self, text):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Left()))
    with pytest.raises(BrokenPipeError):
        write_predictions(of_values(), "-")


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("\nx", "'\nx"),
        ("-1+cmd", "'-1+cmd"),
        ("-1", "-1"),
        ("+2.5e-3", "+2.5e-3"),
        ("cat", "cat"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_spreadsheet_safe(name, cell):
    assert spreadsheet_safe(name) == cell


@given(st.lists(st.text(max_size=3), min_size=1, max_size=4, unique=True))
def test_every_name_survives_the_file_and_none_is_a_formula(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("names") / "out.csv"
    table = of_classes(rows=6, classes=names)
    write_predictions(table, path)
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert len(set(header)) == len(header)
    assert header[6:] == [f"p({name})" for name in names]
    for row, index in zip(rows, table.predicted, strict=True):
        assert row[1].removeprefix("'") == names[index].removeprefix("'")


def test_names_that_no_encoding_takes_are_spelled_out(tmp_path):
    name = b"caf\xe9".decode(errors="surrogateescape")
    for ending in ENDINGS:
        write_predictions(of_classes(classes=(name, "b")), tmp_path / f"out{ending}")
    assert "p(caf\\udce9)" in (tmp_path / "out.csv").read_text(encoding="utf-8")


@given(st.lists(st.sampled_from(["a", "a_2", "a_3", "b"])))
def test_distinct_names_are_distinct_and_first_ones_stay(names):
    unique = list(distinct(names))
    assert len(set(unique)) == len(names)
    assert all(new.startswith(old) for old, new in zip(names, unique, strict=True))
    assert set(names) <= set(unique)
