"""Lines of a CSV file, found again only when a message needs one: the quick reader does not count them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def line_of(path: Path, row: int) -> str:
    """``line 7 of 'people.csv'``: where the row begins, counted from 0 below the header, which is line 1."""
    with suppress(OSError, UnicodeError, csv.Error):
        for number, (line, _) in enumerate(_records(path)):
            if number == row + 1:
                return f"line {line} of {str(path)!r}"
    return f"row {row} of {str(path)!r} (counted from 0 below the header)"


def ragged_line(path: Path) -> str:
    """``line 7 has 2 cells, the header 3`` for the first line with another number of cells; else nothing."""
    width = 0
    with suppress(OSError, UnicodeError, csv.Error):
        for line, cells in _records(path):
            width = width or cells
            if cells != width:
                return f"line {line} has {cells} cells, the header {width}"
    return ""


def _records(path: Path) -> Iterator[tuple[int, int]]:
    """The line where each record begins, and its number of cells; empty lines are no records."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        begin = 1
        for record in reader:
            if record:
                yield begin, len(record)
            begin = reader.line_num + 1
