"""The small data sets that come with scikit-learn."""

from __future__ import annotations

import numpy as np

from ensemble.data.raw import Part, Source, rows_of

BUNDLED = ("digits", "wine", "breast_cancer", "iris", "diabetes")


def read_bundled(name: str) -> Source:
    """One of ``BUNDLED``: digits as ``(1, 8, 8)`` bytes from 0 to 16, the others as features.

    None brings test rows of its own.
    """
    from sklearn import datasets  # over a second to import: only where it is asked for

    bunch = getattr(datasets, f"load_{name}")()
    if name == "digits":
        return Source(Part(bunch.images.astype(np.uint8)[:, None], bunch.target, rows_of(name)))
    names = None if name == "diabetes" else tuple(str(value) for value in bunch.target_names)
    return Source(Part(bunch.data, bunch.target, rows_of(name), names))
