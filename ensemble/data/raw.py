"""What a source hands over: rows as they were read, before anything is decided about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ensemble.data.dataset import Array

Kind = Literal["number", "category"]
Where = Callable[[int], str]
"""Names a row, counted from 0, the way its reader finds it again: ``line 7 of 'people.csv'``."""


@dataclass(frozen=True)
class Cells:
    """One column of a table, its type already told.

    Attributes:
        values: ``(rows,)`` float64 with NaN where a cell is missing, or int64 codes with −1 there.
        categories: What the codes stand for, sorted; None for numbers.
    """

    values: Array
    categories: tuple[str, ...] | None = None

    @property
    def kind(self) -> Kind:
        return "number" if self.categories is None else "category"

    @property
    def missing(self) -> NDArray[np.bool_]:
        """``(rows,)``: where a cell is empty."""
        absent: NDArray[np.bool_] = np.isnan(self.values) if self.categories is None else self.values < 0
        return absent


@dataclass(frozen=True)
class Table:
    """Named columns of equal length, in the order of the file."""

    columns: Mapping[str, Cells]
    rows: int

    def __len__(self) -> int:
        return self.rows


@dataclass(frozen=True)
class Part:
    """Rows that belong together: all of a source, or its own test rows.

    Attributes:
        x: Images ``(rows, channels, height, width)``, features ``(rows, features)``, or a table.
        y: ``(rows,)`` booleans, integers or floats; None where the source has no targets.
        where: Names a row in messages.
        names: Where the targets are names, ``y`` is integers that index these.
    """

    x: Array | Table
    y: Array | None
    where: Where
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Source:
    """All that a source holds; ``test`` only where it brings test rows of its own."""

    rows: Part
    test: Part | None = None
    notes: tuple[str, ...] = ()


def rows_of(name: str) -> Where:
    """Names rows of an array by their number, counted from 0 as arrays do."""
    return lambda row: f"row {row} of {name} (counted from 0)"


def further(where: Where, first: int, row: int) -> str:
    """Names a row of a part that begins at row ``first`` of what ``where`` names."""
    return where(first + row)
