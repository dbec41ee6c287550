"""CSV and Parquet files as tables of so many rows each, for files that are larger than memory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ensemble.data.cells import cells_of
from ensemble.data.csvlines import line_of
from ensemble.data.raw import Kind, Part, Table, Where, further, rows_of
from ensemble.data.tabular import check_columns, column_names, conversion, csv_problem, left_out
from ensemble.errors import DataError


class TableStream:
    """Inputs of a table as parts of equal length, read one after the other.

    Attributes:
        note: Which columns are left out, since the training rows do not have them; may be empty.
    """

    def __init__(self, path: Path, *, target: str | None, like: Mapping[str, Kind]) -> None:
        """
        Args:
            path: ``.csv`` or ``.parquet``.
            target: Name of the target column, which is not read.
            like: The inputs of the training rows and their kinds.

        Raises:
            DataError: an unreadable file, or one that lacks a column.
        """
        self._path, self._like = path, like
        self._is_csv = path.suffix.lower() == ".csv"
        self._name = repr(str(path))
        self._where: Where = partial(line_of, path) if self._is_csv else rows_of(self._name)
        with self._problems_named():
            self._schema = self._csv().schema if self._is_csv else _parquet_schema(path)
        names = column_names(self._schema, name=self._name)
        check_columns(names, like, name=self._name)
        self.note = left_out(names, {*like, target}, name=self._name)

    def parts(self, rows: int) -> Iterator[Part]:
        """Parts of so many rows, the last one of what is left; each names its rows as the whole file would.

        Raises:
            DataError: cells that cannot become inputs, at the first of them; or no rows.
        """
        first = 0
        for table in self._tables(rows):
            where = partial(further, self._where, first)
            columns = {
                name: cells_of(table.column(name), name=name, where=where, kind=kind)
                for name, kind in self._like.items()
            }
            yield Part(Table(columns, table.num_rows), None, where)
            first += table.num_rows
        if not first:
            raise DataError(f"{self._name} has a header, but no rows")

    def _tables(self, rows: int) -> Iterator[Any]:
        waiting: list[Any] = []
        with self._problems_named():
            for batch in self._batches(rows):
                waiting.append(batch)
                while sum(map(len, waiting)) >= rows:
                    table = pa.Table.from_batches(waiting)
                    yield table.slice(0, rows)
                    waiting = table.slice(rows).to_batches()
        if waiting and any(map(len, waiting)):
            yield pa.Table.from_batches(waiting)

    def _batches(self, rows: int) -> Iterator[Any]:
        if not self._is_csv:
            with pyarrow.parquet.ParquetFile(self._path) as file:
                yield from file.iter_batches(rows, columns=list(self._like))
            return
        yield from self._csv(types={field.name: _lasting(field.type) for field in self._schema})

    def _csv(self, types: Mapping[str, Any] | None = None) -> Any:
        text = {name: pa.string() for name, kind in self._like.items() if kind == "category"}
        options = conversion({**(types or {}), **text}, only=None if types is None else tuple(self._like))
        return pyarrow.csv.open_csv(
            self._path,
            # By one thread, so that an error tells the row.
            read_options=pyarrow.csv.ReadOptions(use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=options,
        )

    @contextmanager
    def _problems_named(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, UnicodeError) as error:
            if not self._is_csv:
                raise DataError(f"cannot read {self._name} as Parquet: {error}") from error
            found = _CONVERSION.search(str(error))
            if found:
                name = self._schema.names[int(found["column"])]
                raise DataError(
                    f"{self._where(int(found['row']) - 2)}, column {name!r} holds {found['value']}, but the training "
                    "rows have numbers there"
                ) from error
            raise DataError(csv_problem(self._path, str(error))) from error
        except OSError as error:
            raise DataError(f"cannot read {self._name}: {error.strerror or error}") from error


_CONVERSION = re.compile(
    r"column #(?P<column>\d+): Row #(?P<row>\d+): CSV conversion error.* value (?P<value>'.*')", re.S
)


def _lasting(found: Any) -> Any:
    """A type for numbers that holds further ones too, where the first happen to be whole or missing.

    Text among them is read as numbers as well, which fails at its row.
    """
    kind = pa.types
    return pa.float64() if kind.is_integer(found) or kind.is_null(found) or kind.is_string(found) else found


def _parquet_schema(path: Path) -> Any:
    with pyarrow.parquet.ParquetFile(path) as file:
        return file.schema_arrow
