"""Tables a part at a time: types that hold to the end, and messages that name the line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from ensemble.data.raw import Kind, Table
from ensemble.data.tablestream import TableStream
from ensemble.errors import DataError
from tests.data.files import write_csv

KINDS: dict[str, Kind] = {"age": "number", "color": "category"}
LONG = 60_000
"""Lines of more than a megabyte: what is guessed of the first block does not hold for the last one."""


def stream(path: Path, like: dict[str, Kind] | None = None) -> TableStream:
    return TableStream(path, target="y", like=KINDS if like is None else like)


def values(path: Path, column: str, like: dict[str, Kind] | None = None) -> list[float]:
    found: list[float] = []
    for part in stream(path, like).parts(1000):
        assert isinstance(part.x, Table)
        found += part.x.columns[column].values.tolist()
    return found


@pytest.mark.parametrize("first", ["1", "", "NA"])
def test_whole_and_missing_numbers_may_be_followed_by_fractions(tmp_path: Path, first: str) -> None:
    """Fails where the first block decides the type."""
    lines = "\n".join([f"{first},{'red' * 6}"] * LONG)
    path = write_csv(tmp_path / "a.csv", f"age,color\n{lines}\n1.5,blue\n")
    found = values(path, "age")
    assert len(found) == LONG + 1
    assert found[-1] == 1.5
    assert np.isnan(found[0]) == (first != "1")


def test_booleans_are_numbers_and_columns_may_come_in_any_order(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", "extra,y,color,age\nx,1,007,true\nx,1,7,false\n")
    assert values(path, "age") == [1.0, 0.0]
    (part,) = stream(path).parts(10)
    assert isinstance(part.x, Table)
    assert part.x.columns["color"].categories == ("007", "7")
    assert stream(path).note == f"columns of {str(path)!r} left out: extra"


def test_a_text_among_numbers_is_named_with_its_line(tmp_path: Path) -> None:
    """In the first block, where the type is guessed, and far behind it, where it holds no more."""
    for before in (3, LONG):
        lines = "\n".join(["1,1,red" + "d" * 12] * before)
        path = write_csv(tmp_path / "a.csv", f"y,age,color\n{lines}\n2,old,blue\n2,3,blue\n")
        with pytest.raises(DataError, match=rf"line {before + 2} of .*, column 'age' holds 'old'") as refused:
            values(path, "age")
        assert "the training rows have numbers there" in str(refused.value)


def test_what_is_no_such_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no column 'color', which the training rows have"):
        stream(write_csv(tmp_path / "a.csv", "age,colour\n1,red\n"))
    with pytest.raises(DataError, match=r"two columns 'age'"):
        stream(write_csv(tmp_path / "a.csv", "age,age,color\n1,2,red\n"))
    with pytest.raises(DataError, match=r"a header, but no rows"):
        list(stream(write_csv(tmp_path / "a.csv", "age,color\n")).parts(10))
    with pytest.raises(DataError, match=r"is not a CSV file with a header line"):
        stream(write_csv(tmp_path / "a.csv", ""))
    with pytest.raises(DataError, match=r"line 3 has 1 cells, the header 2"):
        list(stream(write_csv(tmp_path / "a.csv", "age,color\n1,red\n1\n")).parts(10))
    (tmp_path / "a.csv").write_bytes(b"age,color\n1,caf\xe9\n")
    with pytest.raises(DataError, match=r"is not UTF-8 text"):
        list(stream(tmp_path / "a.csv").parts(10))
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match=r"cannot read .* as Parquet"):
        stream(tmp_path / "a.parquet")


def test_parquet_in_parts_of_one_length_whatever_its_row_groups(tmp_path: Path) -> None:
    table = pa.table(
        {"age": [1.0, None, 3.0, 4.0, 5.0], "color": ["a", "b", None, "a", "c"], "extra": [1] * 5}
    )
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    parts = list(stream(tmp_path / "a.parquet").parts(3))
    assert [len(part) for part in parts] == [3, 2]
    assert parts[1].where(1) == f"row 4 of {str(tmp_path / 'a.parquet')!r} (counted from 0)"
    assert np.isnan(values(tmp_path / "a.parquet", "age")[1])
