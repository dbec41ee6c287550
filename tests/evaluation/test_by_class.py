from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from ensemble.evaluation.by_class import confusion, per_class


@given(st.integers(0, 1000), st.integers(2, 7), st.integers(1, 80))
def test_as_scikit_learn_counts(seed: int, classes: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    y, labels = rng.integers(0, classes, (2, rows))
    every = np.arange(classes)
    matrix = confusion(labels, y, classes=classes)
    np.testing.assert_array_equal(matrix, confusion_matrix(y, labels, labels=every))
    precision, recall, f1, support = precision_recall_fscore_support(
        y, labels, labels=every, zero_division=np.nan
    )
    for k, one in enumerate(per_class(matrix)):
        assert one["rows"] == support[k]
        for ours, theirs in ((one["precision"], precision[k]), (one["recall"], recall[k])):
            assert ours is None if np.isnan(theirs) else ours == pytest.approx(theirs, abs=1e-10)
        if one["f1"] is not None:
            assert one["f1"] == pytest.approx(f1[k], abs=1e-10)


def test_a_class_without_rows_has_no_recall_and_one_never_named_no_precision() -> None:
    first, second, third = per_class(confusion(np.array([0, 2]), np.array([0, 1]), classes=3))
    assert first["recall"] == first["precision"] == first["f1"] == 1.0
    assert (second["recall"], second["precision"], second["f1"]) == (0.0, None, None)
    assert (third["recall"], third["recall_ci95"], third["precision"]) == (None, None, 0.0)
