"""Columns as features: fitted on training rows alone, with nothing missing unsaid."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.data.encoding import encode, encoding_counts, encoding_notes, feature_names, fit_columns
from ensemble.data.raw import Cells, Table
from ensemble.errors import DataError

TABLE = Table(
    {
        "age": Cells(np.array([1.0, 3.0, np.nan, 100.0])),
        "price": Cells(np.array([1.0, 2.0, 3.0, np.nan])),
        "color": Cells(np.array([0, 2, -1, 1]), ("blue", "green", "red")),
    },
    4,
)
TRAIN = np.array([0, 1, 2])


def test_known_answer() -> None:
    columns = fit_columns(TABLE, TRAIN)
    assert feature_names(columns) == ("age", "age missing", "price", "color=blue", "color=red")
    assert encode(TABLE, columns).tolist() == [
        [1, 0, 1, 1, 0],
        [3, 0, 2, 0, 1],
        [2, 1, 3, 0, 0],
        [100, 0, 2, 0, 0],
    ]


def test_notes_count_cells() -> None:
    columns = fit_columns(TABLE, TRAIN)
    assert encoding_notes(encoding_counts(TABLE, columns), columns) == (
        "column 'age': 1 cell missing, read as the training median 2, and a feature says so",
        "column 'price': 1 cell missing, read as the training median 2; the training rows miss none",
        "column 'color': 1 cell missing, encoded as all zero",
        "column 'color': 1 cell with a value that no training row has, encoded as all zero",
    )


def test_other_rows_do_not_change_the_columns() -> None:
    changed = Table({**TABLE.columns, "age": Cells(np.array([1.0, 3.0, np.nan, -7.0]))}, 4)
    assert fit_columns(changed, TRAIN) == fit_columns(TABLE, TRAIN)


def test_new_table_with_other_categories_keeps_the_features() -> None:
    columns = fit_columns(TABLE, TRAIN)
    new = Table({**TABLE.columns, "color": Cells(np.array([0, 1, 0, -1]), ("red", "violet"))}, 4)
    assert encode(new, columns)[:, 3:].tolist() == [[0, 1], [0, 0], [0, 1], [0, 0]]


def test_column_without_a_training_value_is_refused() -> None:
    for column in ("age", "color"):
        with pytest.raises(DataError, match=rf"column '{column}' has no value in any training row; drop it"):
            fit_columns(Table({column: TABLE.columns[column]}, 4), np.array([2]))
