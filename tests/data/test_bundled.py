"""The sets that come with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.data.bundled import BUNDLED, read_bundled


@pytest.mark.parametrize(
    ("name", "shape", "names"),
    [
        ("digits", (1797, 1, 8, 8), None),
        ("wine", (178, 13), ("class_0", "class_1", "class_2")),
        ("breast_cancer", (569, 30), ("malignant", "benign")),
        ("iris", (150, 4), ("setosa", "versicolor", "virginica")),
        ("diabetes", (442, 10), None),
    ],
)
def test_shapes_and_names(name: str, shape: tuple[int, ...], names: tuple[str, ...] | None) -> None:
    source = read_bundled(name)
    assert isinstance(source.rows.x, np.ndarray)
    assert source.rows.x.shape == shape
    assert source.rows.names == names
    assert source.test is None
    assert name in BUNDLED


def test_digits_are_bytes_from_0_to_16() -> None:
    x = read_bundled("digits").rows.x
    assert isinstance(x, np.ndarray)
    assert (x.dtype, x.min(), x.max()) == (np.uint8, 0, 16)
