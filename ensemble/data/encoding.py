"""Table columns as features: missing numbers imputed and marked, categories one feature a value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ensemble.data.dataset import Array, Column, Rows
from ensemble.data.raw import Cells, Table
from ensemble.errors import DataError


def fit_columns(table: Table, train: Rows) -> tuple[Column, ...]:
    """What the training rows say about each column: medians, categories, whether cells are missing.

    Raises:
        DataError: a column without a single value in the training rows.
    """
    return tuple(_fit_column(name, cells, train) for name, cells in table.columns.items())


def encode(table: Table, columns: Sequence[Column]) -> NDArray[np.float64]:
    """Features ``(rows, features)``, not yet standardized, in the order of ``feature_names``.

    A number gives its value, the training median where it is missing, and, if training rows had missing
    cells, a 0/1 feature that says so. A category gives a 0/1 feature for each value of the training rows: all
    zero where the cell is missing or holds another value.
    """
    blocks: list[Array] = []
    for column in columns:
        cells = table.columns[column.name]
        if column.kind == "number":
            blocks.append(np.where(cells.missing, np.float64(column.median or 0), cells.values)[:, None])
            if column.missing:
                blocks.append(cells.missing[:, None])
        else:
            blocks.append(_codes_of(cells, column)[:, None] == np.arange(len(column.categories)))
    return np.concatenate(blocks, axis=1, dtype=np.float64)


def feature_names(columns: Sequence[Column]) -> tuple[str, ...]:
    """Names of the features that ``encode`` makes: ``age``, ``age missing``, ``color=red``."""
    names: list[str] = []
    for column in columns:
        if column.kind == "number":
            names += [column.name, f"{column.name} missing"][: 1 + column.missing]
        else:
            names += [f"{column.name}={value}" for value in column.categories]
    return tuple(names)


def encoding_counts(table: Table, columns: Sequence[Column]) -> NDArray[np.int64]:
    """``(columns, 2)``: cells of each column that are missing, and those with a category that no training row has."""
    counts = np.zeros((len(columns), 2), dtype=np.int64)
    for place, column in enumerate(columns):
        cells = table.columns[column.name]
        missing = int(cells.missing.sum())
        unknown = 0 if column.kind == "number" else int((_codes_of(cells, column) < 0).sum()) - missing
        counts[place] = missing, unknown
    return counts


def encoding_notes(counts: NDArray[np.int64], columns: Sequence[Column]) -> tuple[str, ...]:
    """What the encoding decided, column by column: cells imputed, cells left all zero.

    Args:
        counts: From ``encoding_counts``, summed over all tables.
        columns: Of the training rows.
    """
    notes = []
    for column, (missing, unknown) in zip(columns, counts.tolist(), strict=True):
        if column.kind == "number":
            marked = ", and a feature says so" if column.missing else "; the training rows miss none"
            if missing:
                notes.append(
                    f"column {column.name!r}: {_cells(missing)} missing, read as the training median "
                    f"{column.median:g}{marked}"
                )
            continue
        if missing:
            notes.append(f"column {column.name!r}: {_cells(missing)} missing, encoded as all zero")
        if unknown:
            notes.append(
                f"column {column.name!r}: {_cells(unknown)} with a value that no training row has, "
                "encoded as all zero"
            )
    return tuple(notes)


def _fit_column(name: str, cells: Cells, train: Rows) -> Column:
    values, missing = cells.values[train], cells.missing[train]
    if missing.all():
        raise DataError(f"column {name!r} has no value in any training row; drop it")
    if cells.categories is None:
        return Column(
            name=name, kind="number", median=float(np.median(values[~missing])), missing=bool(missing.any())
        )
    seen = np.unique(values[~missing])
    return Column(name=name, kind="category", categories=tuple(cells.categories[code] for code in seen))


def _codes_of(cells: Cells, column: Column) -> NDArray[np.int64]:
    """``(rows,)``: each cell's place among the training categories, −1 for any other and for missing ones."""
    place = {value: code for code, value in enumerate(column.categories)}
    lookup = np.array([*(place.get(value, -1) for value in cells.categories or ()), -1], dtype=np.int64)
    codes: NDArray[np.int64] = lookup[cells.values]
    return codes


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count:,} cells"
