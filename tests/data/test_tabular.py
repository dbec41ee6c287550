"""CSV and Parquet: what is read, what is missing, what is refused and where."""

from __future__ import annotations

import datetime
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.data.raw import Source, Table
from ensemble.data.tabular import read_table
from ensemble.errors import DataError
from tests.data.files import PEOPLE, write_csv


def table_of(source: Source) -> Table:
    assert isinstance(source.rows.x, Table)
    return source.rows.x


def parquet(path: Path, **columns: Any) -> Path:
    pyarrow.parquet.write_table(pa.table(columns), path)
    return path


def test_csv_columns_are_numbers_and_categories(tmp_path: Path) -> None:
    source = read_table(write_csv(tmp_path / "p.csv", PEOPLE), target="label")
    columns = table_of(source).columns
    assert list(columns) == ["age", "color", "member", "height"]
    assert columns["age"].values[:3] == pytest.approx([10, np.nan, 30], nan_ok=True)
    assert columns["color"].categories == ("blue", "green", "red")
    assert columns["color"].values[:3].tolist() == [2, 0, -1]
    assert columns["member"].values[:3].tolist() == [1, 0, 1]
    assert source.rows.names == ("no", "yes")


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "p.parquet",
        age=pa.array([1, None, 3], pa.int32()),
        price=pa.array([1.5, float("nan"), 2], pa.float32()),
        color=pa.array(["red", None, ""]).dictionary_encode(),
        size=pa.array([1, 2, 3]).dictionary_encode(),
        money=pa.array([1, 2, 3], pa.decimal128(9, 2)),
        label=pa.array([True, False, True]),
    )
    source = read_table(path, target="label")
    columns = table_of(source).columns
    assert [int(cells.missing.sum()) for cells in columns.values()] == [1, 1, 2, 0, 0]
    assert columns["color"].categories == ("red",)
    assert columns["size"].values.tolist() == [1, 2, 3]
    assert source.rows.y is not None
    assert source.rows.y.tolist() == [True, False, True]


def test_lines_are_named_as_an_editor_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('a,b\n1,"two\nlines"\n\n3,x\n4,x\n')
    source = read_table(path, target="b")
    assert [source.rows.where(row).split(" of")[0] for row in range(3)] == ["line 2", "line 5", "line 6"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n4,5\n", "line 3 has 1 cells, the header 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 cells, the header 2"),
        ("a,a,b\n1,2,3\n", "two columns 'a', the 1. and the 2."),
        (",b\n1,2\n", "column 1 of .* has no name"),
        ("a,b\n", "a header, but no rows"),
        ("", "not a CSV file with a header line"),
        ("a,b\n1,x\n2,\n", "line 3 of .*column 'b': the target is missing"),
        ("a,b\n1,1\n2,nan\n", "line 3 of .*column 'b': the target is missing"),
        ("a,b\n1,\n2,\n", "target column 'b' is empty"),
        ("b\n1\n2\n", "no column besides the target"),
        ("a;b\n1;2\n", "its cells are separated by ';'"),
        ("a,bb\n1,2\n", "no column 'b' .did you mean 'bb'.*its columns are 'a', 'bb'"),
        ("day,b\n2020-01-01,1\n", "column 'day' holds dates or times .*or drop it"),
        ("a,b\n1,2020-01-01\n", "target column 'b' holds dates"),
    ],
)
def test_csv_that_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_table(path, target="b")


def test_without_a_target_the_columns_are_listed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"with --target; its columns are 'age', 'color'"):
        read_table(write_csv(tmp_path / "p.csv", PEOPLE), target=None)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(b"a,b\ncaf\xe9,1\n")
    with pytest.raises(DataError, match=r"column 'a' is not UTF-8"):
        read_table(path, target="b")
    path.write_bytes(b"a\xe9,b\n1,1\n")
    with pytest.raises(DataError, match=r"header of .* is not UTF-8"):
        read_table(path, target="b")
    path.write_bytes(b"a,b\ncaf\xe9,1\n")
    with pytest.raises(DataError, match=r"not UTF-8"):
        read_table(path, target="b", like={"a": "category"})


def test_giant_cell_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("a,b\n" + "x" * 3_000_000 + ",1\n2,3\n")
    with pytest.raises(DataError, match=r"more than a megabyte"):
        read_table(path, target="b")


def test_identifier_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("name,b\n" + "".join(f"n{row},1\n" for row in range(101)))
    with pytest.raises(DataError, match=r"column 'name' has 101 different texts .* identifier"):
        read_table(path, target="b")


def test_parquet_that_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    for column, message in (
        ([datetime.datetime(2020, 1, 1)], "dates or times"),
        ([[1, 2]], "neither numbers nor text"),
        ([b"x"], "not UTF-8"),
    ):
        with pytest.raises(DataError, match=rf"column 'a' .*{message}"):
            read_table(parquet(path, a=column, b=[1]), target="b")
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match=r"as Parquet"):
        read_table(path, target="b")


def test_index_of_pandas_is_left_out(tmp_path: Path) -> None:
    path = parquet(tmp_path / "p.parquet", a=[1, 2], b=[0, 1], __index_level_0__=[7, 8])
    source = read_table(path, target="b")
    assert list(table_of(source).columns) == ["a"]
    assert "left out: __index_level_0__" in source.notes[0]


def test_new_rows_are_read_like_the_training_rows(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "new.csv", "extra,zip,age\n1,007,\n2,12,3\n")
    source = read_table(path, target="b", labelled=False, like={"age": "number", "zip": "category"})
    columns = table_of(source).columns
    assert list(columns) == ["age", "zip"]
    assert columns["zip"].categories == ("007", "12")
    assert source.rows.y is None
    assert source.notes[0].endswith("left out: extra")


def test_text_target_keeps_its_form(tmp_path: Path) -> None:
    source = read_table(write_csv(tmp_path / "p.csv", "a,b\n1,007\n2,7\n"), target="b", text_target=True)
    assert source.rows.names == ("007", "7")


def test_new_rows_that_differ_are_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "new.csv", "agee,color\n1,red\n2,blue\n")
    with pytest.raises(
        DataError, match=r"no column 'age', which the training rows have .did you mean 'agee'"
    ):
        read_table(path, target="b", labelled=False, like={"age": "number"})
    with pytest.raises(DataError, match=r"line 2 of .*column 'color' holds 'red', but .* numbers"):
        read_table(path, target="b", labelled=False, like={"color": "number"})


def test_numbers_become_categories_where_training_had_them(tmp_path: Path) -> None:
    path = parquet(tmp_path / "p.parquet", a=[1, 2, 1], b=[0, 1, 0])
    columns = table_of(read_table(path, target="b", like={"a": "category"})).columns
    assert columns["a"].categories == ("1", "2")


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=120),
        st.text(alphabet='ab,"\n\r;1.-eé NnulTrue', max_size=120).map(lambda text: ("a,b\n" + text).encode()),
        st.text(alphabet="0123456789,\n", max_size=80).map(lambda text: ("a,b\n" + text).encode()),
    ),
    st.booleans(),
)
def test_arbitrary_csv_loads_or_is_refused(content: bytes, labelled: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.csv"
        path.write_bytes(content)
        try:
            source = read_table(path, target="b", labelled=labelled)
        except DataError:
            return
        assert len(table_of(source)) > 0
        assert source.rows.where(0)
