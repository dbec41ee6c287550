"""Cells say what they are and which of them are missing."""

import numpy as np

from ensemble.data.raw import Cells, rows_of


def test_cells() -> None:
    numbers, categories = Cells(np.array([1.0, np.nan])), Cells(np.array([-1, 0]), ("red",))
    assert (numbers.kind, numbers.missing.tolist()) == ("number", [False, True])
    assert (categories.kind, categories.missing.tolist()) == ("category", [True, False])


def test_rows_are_counted_from_0() -> None:
    assert rows_of("it")(3) == "row 3 of it (counted from 0)"
