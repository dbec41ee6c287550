"""CSV and Parquet files as tables of numbers and categories."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ensemble.data.cells import cells_of, targets_of_column
from ensemble.data.csvlines import line_of, ragged_line
from ensemble.data.limits import MOST_BYTES
from ensemble.data.raw import Kind, Part, Source, Table, rows_of
from ensemble.data.spelling import nearest
from ensemble.errors import DataError

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
"""Cells of a CSV file that hold no value. Quoted, they are text."""
_PANDAS_INDEX = "__index_level_"


def read_table(
    path: Path,
    *,
    target: str | None,
    labelled: bool = True,
    like: Mapping[str, Kind] | None = None,
    text_target: bool = False,
) -> Source:
    """Rows of a CSV or Parquet file: one column is the target, the others become inputs.

    Args:
        path: ``.csv`` (a header line, commas, UTF-8) or ``.parquet``.
        target: Name of the target column.
        labelled: Whether the target must be there; where not, it is left out.
        like: The inputs of the training rows and their kinds; columns beyond them are left out, and said.
        text_target: Whether targets are text whatever they look like: ``007`` stays ``007``.

    Raises:
        DataError: an unreadable file, no such column, a missing target, a column that cannot become inputs.
    """
    is_csv = path.suffix.lower() == ".csv"
    name = repr(str(path))
    where = partial(line_of, path) if is_csv else rows_of(name)
    text = [column for column, kind in (like or {}).items() if kind == "category"]
    if text_target and target is not None:
        text.append(target)
    table = _read_csv(path, text) if is_csv else _read_parquet(path)
    names = _names_of(table, name)
    if labelled and target not in names:
        raise DataError(_no_target(name, target, names))
    check_columns(names, like or (), name=name)
    found = [column for column in names if column != target and not column.startswith(_PANDAS_INDEX)]
    inputs = found if like is None else list(like)
    if not inputs:
        raise DataError(f"{name} has no column besides the target {target!r}: there is nothing to learn from")
    y, labels = None, None
    if labelled:
        y, labels = targets_of_column(table.column(target), name=str(target), where=where)
    kinds = like or {}
    columns = {
        column: cells_of(table.column(column), name=column, where=where, kind=kinds.get(column))
        for column in inputs
    }
    note = left_out(names, {*inputs, target}, name=name)
    return Source(Part(Table(columns, table.num_rows), y, where, labels), notes=(note,) if note else ())


def left_out(names: Iterable[str], taken: Container[str | None], *, name: str) -> str:
    """Which columns are neither inputs nor the target, in words; nothing where all are."""
    others = [column for column in names if column not in taken]
    return f"columns of {name} left out: {', '.join(others)}" if others else ""


def conversion(types: Mapping[str, Any], *, only: Collection[str] | None = None) -> Any:
    """How cells of a CSV file become values: which are missing, which columns have a type, which are read at all."""
    return pyarrow.csv.ConvertOptions(
        null_values=list(MISSING),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        column_types=dict(types),
        include_columns=None if only is None else list(only),
    )


def _read_csv(path: Path, text: Collection[str]) -> Any:
    try:
        return pyarrow.csv.read_csv(
            path,
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=conversion({column: pa.string() for column in text}),
        )
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except (pa.ArrowException, UnicodeError) as error:
        raise DataError(csv_problem(path, str(error))) from error


def csv_problem(path: Path, problem: str) -> str:
    """What Arrow says of a CSV file, said to its owner."""
    if "straddling" in problem:
        return f"{str(path)!r} has a line of more than a megabyte, perhaps an unclosed quote ({problem})"
    if "Expected" in problem and (ragged := ragged_line(path)):
        return f"{str(path)!r}: {ragged}; every line needs as many cells as the header"
    if "utf" in problem.lower():
        return f"{str(path)!r} is not UTF-8 text ({problem}); convert it, for example with iconv -t UTF-8"
    return f"{str(path)!r} is not a CSV file with a header line ({problem})"


def _read_parquet(path: Path) -> Any:
    try:
        # Not read_table: that takes columns from directory names such as year=2020.
        with pyarrow.parquet.ParquetFile(path) as file:
            declared = 8 * file.metadata.num_rows * file.metadata.num_columns
            if declared > MOST_BYTES:
                raise DataError(
                    f"{str(path)!r} declares {file.metadata.num_rows:,} rows of "
                    f"{file.metadata.num_columns:,} columns; more than 64 GiB is not read into memory"
                )
            return file.read()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"cannot read {str(path)!r} as Parquet: {error}") from error


def _names_of(table: Any, name: str) -> list[str]:
    names = column_names(table, name=name)
    if table.num_rows == 0:
        raise DataError(f"{name} has a header, but no rows")
    return names


def column_names(table: Any, *, name: str) -> list[str]:
    """Names of the columns of an Arrow table or schema.

    Raises:
        DataError: a column without a name, or two of one name.
    """
    try:
        names: list[str] = table.column_names if isinstance(table, pa.Table) else table.names
    except UnicodeDecodeError as error:
        raise DataError(
            f"the header of {name} is not UTF-8 text ({error}); convert it with iconv -t UTF-8"
        ) from error
    for position, column in enumerate(names):
        if not column.strip():
            raise DataError(
                f"column {position + 1} of {name} has no name (an index of pandas?); name it or drop it"
            )
        if names.index(column) != position:
            raise DataError(
                f"{name} has two columns {column!r}, the {names.index(column) + 1}. and the {position + 1}.; "
                "rename or drop one"
            )
    return names


def check_columns(names: Sequence[str], wanted: Iterable[str], *, name: str) -> None:
    """See that a table has the columns of the training rows.

    Raises:
        DataError: it lacks one.
    """
    for column in wanted:
        if column not in names:
            raise DataError(
                f"{name} has no column {column!r}, which the training rows have{nearest(column, names)}"
            )


def _no_target(name: str, target: str | None, names: list[str]) -> str:
    listed = ", ".join(map(repr, names))
    if target is None:
        return f"{name} is a table: say which column is predicted with --target; its columns are {listed}"
    other = next((mark for mark in (";", "\t", "|") if len(names) == 1 and mark in names[0]), None)
    if other:
        return f"{name} has no column {target!r}: its cells are separated by {other!r}; write it with commas"
    return f"{name} has no column {target!r}{nearest(target, names)}; its columns are {listed}"
