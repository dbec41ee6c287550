"""Predictions written to a file, chunk by chunk: CSV, Parquet or NumPy archive, by the ending of its name.

A file of that name is replaced once everything is written. Until then all goes to a hidden temporary file in
the same directory, so whoever is stopped leaves the old file or none, never half of a new one.
"""

from __future__ import annotations

import csv
import io
import os
import re
import secrets
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from ensemble.errors import EnsembleError, UsageError

Array = NDArray[Any]
STANDARD_OUTPUT = "-"


@dataclass(frozen=True)
class ClassPredictions:
    """Predicted classes of some rows. What a combiner has no meaning for is None: an empty column.

    Attributes:
        row: ``(rows,)`` integers that say which rows these are.
        classes: Names of the K classes, in the order of their index.
        predicted: ``(rows,)`` index of the predicted class.
        probabilities: ``(rows, K)``; for a vote, its shares.
        confidence: ``(rows,)`` probability of the predicted class.
        total, aleatoric, epistemic: ``(rows,)`` uncertainty in nats, total = aleatoric + epistemic.
    """

    row: Array
    classes: tuple[str, ...]
    predicted: Array
    probabilities: Array
    confidence: Array
    total: Array | None
    aleatoric: Array | None
    epistemic: Array | None


@dataclass(frozen=True)
class ValuePredictions:
    """Predicted numbers of some rows, in the target's unit; None as above.

    Attributes:
        row: ``(rows,)`` integers that say which rows these are.
        mean, std: ``(rows,)`` of the predictive distribution.
        low95, high95: ``(rows,)`` its central 95 %.
        aleatoric, epistemic: ``(rows,)`` variances that add up to ``std`` squared.
    """

    row: Array
    mean: Array
    std: Array | None
    low95: Array | None
    high95: Array | None
    aleatoric: Array | None
    epistemic: Array | None


Predictions = ClassPredictions | ValuePredictions
Columns = dict[str, Array | list[str] | None]


def write_predictions(table: Predictions, out: str | Path) -> None:
    """Write one table; see ``PredictionWriter``."""
    with PredictionWriter(out) as writer:
        writer.write(table)


class PredictionWriter:
    """Writes tables one below the other, holding one at a time.

        with PredictionWriter("predictions.csv") as writer:
            for table in tables:
                writer.write(table)

    Args:
        out: ``FILE.csv``, ``FILE.parquet``, ``FILE.npz``, or ``-`` for CSV on standard output.

    Raises:
        UsageError: on construction: another ending, a directory, or no directory to write in.
        EnsembleError: the file cannot be written; what was there before is untouched.
    """

    def __init__(self, out: str | Path) -> None:
        self._name = str(out)
        ending = ".csv" if self._name == STANDARD_OUTPUT else Path(out).suffix.lower()
        if ending not in FORMATS:
            raise UsageError(
                f"--out is {self._name!r}, but its ending decides the format: {', '.join(FORMATS)}, "
                "or - for CSV on standard output"
            )
        self._format = FORMATS[ending]
        # A link's target is replaced, not the link.
        self._path = Path(os.path.realpath(out))
        if self._name != STANDARD_OUTPUT:
            if self._path.is_dir():
                raise UsageError(f"--out is {self._name!r}, which is a directory")
            if not self._path.parent.is_dir():
                raise UsageError(
                    f"--out is {self._name!r}, but there is no directory {str(self._path.parent)!r}"
                )
        self._temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}.tmp")
        self._first: Predictions | None = None
        self._write: Write | None = None
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        if self._name == STANDARD_OUTPUT:
            sys.stdout.flush()
            self._file: IO[bytes] = sys.stdout.buffer
            return self
        try:
            self._file = self._temporary.open("xb")
        except OSError as error:
            raise UsageError(f"cannot write {self._name!r}: {error.strerror}") from None
        return self

    def write(self, table: Predictions) -> None:
        """Add a table, of the same kind and classes as the first."""
        if self._first is None:
            self._first = table
        elif _kind(table) != _kind(self._first):
            raise ValueError(f"the first table is {_kind(self._first)}, this one {_kind(table)}")
        try:
            if self._write is None:
                self._write = self._opened.enter_context(self._format(self._file, table))
            self._write(table)
        except OSError as error:
            raise self._unwritable(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._name == STANDARD_OUTPUT:
            self._opened.close()
            if kind is None:
                self._file.flush()
            return
        try:
            self._opened.__exit__(kind, error, trace)
            if kind is None:
                self._commit()
        except OSError as failure:
            raise self._unwritable(failure) from failure
        finally:
            self._file.close()
            self._temporary.unlink(missing_ok=True)

    def _commit(self) -> None:
        if self._write is None:
            raise ValueError("no table was written")
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._temporary, self._path)

    def _unwritable(self, error: OSError) -> OSError | EnsembleError:
        # A reader that left standard output is no error of the writing; the command ends quietly.
        if isinstance(error, BrokenPipeError):
            return error
        return EnsembleError(f"cannot write {self._name!r}: {error.strerror or error}; nothing was replaced")


Write = Callable[[Predictions], None]


@contextmanager
def _csv(file: IO[bytes], first: Predictions) -> Iterator[Write]:
    """UTF-8, one header line, lines end as RFC 4180 has it; safe to open in a spreadsheet.

    Numbers become text by Arrow, a column at a time: eight times as fast as one by one, which took longer than the
    predictions of a hundred small networks.
    """
    import pyarrow
    import pyarrow.compute

    def write(table: Predictions) -> None:
        cells = [_cells(values, rows=len(table.row)) for values in columns(table).values()]
        lines = pyarrow.compute.binary_join_element_wise(*cells, ",")
        ended = pyarrow.compute.binary_join_element_wise(lines, "", "\r\n").cast(pyarrow.large_string())
        # Texts of an array lie one behind the other in memory.
        _, offsets, text = ended.buffers()
        begin, end = np.frombuffer(offsets, np.int64)[[ended.offset, ended.offset + len(ended)]]
        file.write(memoryview(text)[begin:end])

    file.write((",".join(map(_cell, columns(first))) + "\r\n").encode())
    yield write


def _cell(name: str) -> str:
    """A name as a cell of a CSV file, quoted where it has to be."""
    line = io.StringIO()
    csv.writer(line).writerow([spreadsheet_safe(name), ""])
    return line.getvalue().removesuffix(",\r\n")


@contextmanager
def _parquet(file: IO[bytes], first: Predictions) -> Iterator[Write]:
    import pyarrow
    import pyarrow.parquet

    def as_arrow(table: Predictions) -> Any:
        nothing = pyarrow.nulls(len(table.row), pyarrow.float64())
        return pyarrow.table({name: nothing if v is None else v for name, v in columns(table).items()})

    schema = as_arrow(first).schema
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        yield lambda table: writer.write_table(as_arrow(table).cast(schema))


@contextmanager
def _npz(file: IO[bytes], first: Predictions) -> Iterator[Write]:
    """The arrays as they are, and the names of the classes.

    An array's length comes before its rows, so each first grows in a nameless file beside the archive.
    """
    likes = _arrays(first)
    rows = 0
    with ExitStack() as stack:
        directory = os.path.dirname(file.name)
        parts = {name: stack.enter_context(tempfile.TemporaryFile(dir=directory)) for name in likes}

        def write(table: Predictions) -> None:
            nonlocal rows
            rows += len(table.row)
            for name, values in _arrays(table).items():
                values.astype(likes[name].dtype, copy=False).tofile(parts[name])

        yield write
        archive = stack.enter_context(zipfile.ZipFile(file, "w"))
        for name, like in likes.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                descr = np.lib.format.dtype_to_descr(like.dtype)
                header = {"descr": descr, "fortran_order": False, "shape": (rows, *like.shape[1:])}
                np.lib.format.write_array_header_1_0(entry, header)
                parts[name].seek(0)
                shutil.copyfileobj(parts[name], entry)
        if isinstance(first, ClassPredictions):
            with archive.open("classes.npy", "w") as entry:
                names = np.array([_encodable(name) for name in first.classes])
                np.lib.format.write_array(entry, names, allow_pickle=False)


FORMATS: dict[str, Callable[[IO[bytes], Predictions], AbstractContextManager[Write]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".npz": _npz,
}
"""Ending → what opens a file for the first table and writes tables, the first included, until it is left."""


def columns(table: Predictions) -> Columns:
    """The columns of the file, by name, in order; ``p(NAME)`` holds the probability of a class."""
    if isinstance(table, ValuePredictions):
        return {name: getattr(table, name) for name in ("row", "mean", "std", "low95", "high95", *_VARIANCES)}
    names = [_encodable(name) for name in table.classes]
    probabilities = zip(distinct(f"p({name})" for name in names), table.probabilities.T, strict=True)
    return {
        "row": table.row,
        "predicted": [names[index] for index in table.predicted],
        "confidence": table.confidence,
        "total": table.total,
        "aleatoric": table.aleatoric,
        "epistemic": table.epistemic,
        **dict(probabilities),
    }


_VARIANCES = ("aleatoric", "epistemic")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


def spreadsheet_safe(text: str) -> str:
    """``text`` that no spreadsheet takes for a formula: an apostrophe before ``= + - @``, tab and line ends.

    A name that is a plain number, such as the class ``-1``, is no formula and stays.
    """
    return f"'{text}" if text[:1] in tuple("=+-@\t\r\n") and not _NUMBER.fullmatch(text) else text


def distinct(names: Iterable[str]) -> Iterator[str]:
    """The names, a repeated one with ``_2``, ``_3`` … behind it."""
    seen: set[str] = set()
    for name in names:
        number, unique = 1, name
        while unique in seen:
            number += 1
            unique = f"{name}_{number}"
        seen.add(unique)
        yield unique


def _encodable(name: str) -> str:
    # Names from a file system may hold bytes that are no UTF-8.
    return name.encode(errors="backslashreplace").decode()


def _cells(values: Array | list[str] | None, *, rows: int) -> Any:
    """A column as texts, an Arrow array; what is missing or not a number is empty."""
    import pyarrow

    if values is None:
        return pyarrow.array([""] * rows, pyarrow.string())
    if isinstance(values, list):
        quoted = {name: _cell(name) for name in set(values)}
        return pyarrow.array([quoted[name] for name in values], pyarrow.string())
    # As text each number is the shortest that reads back as itself: float32 0.9, not 0.8999999761581421.
    return pyarrow.array(values, from_pandas=True).cast(pyarrow.string()).fill_null("")


def _arrays(table: Predictions) -> dict[str, Array]:
    """The arrays of a NumPy archive; what has no meaning is NaN."""
    nothing = np.full(len(table.row), np.nan)
    values = {
        name: nothing if value is None else value for name, value in vars(table).items() if name != "classes"
    }
    return {name: np.asarray(value) for name, value in values.items()}


def _kind(table: Predictions) -> tuple[str, tuple[str, ...]]:
    return type(table).__name__, table.classes if isinstance(table, ClassPredictions) else ()
