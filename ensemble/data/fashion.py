"""Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747): where its four idx files lie, what its labels mean."""

from __future__ import annotations

import os
from pathlib import Path

from ensemble.data.idx import find_idx, read_pairs
from ensemble.data.raw import Source
from ensemble.errors import DataError

NAME = "fashion-mnist"
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where the Debian package dataset-fashion-mnist puts its files."""


def read_fashion(data_dir: str | None, *, mapped: bool = False) -> Source:
    """Its 60,000 training and 10,000 test images, from the first place that has all four files.

    Raises:
        DataError: no place has them (says where it looked), or a file is damaged.
    """
    looked = _places(data_dir)
    for place in looked:
        pairs = find_idx(place) if place.is_dir() else {}
        if pairs.keys() == {"train", "test"}:
            source = read_pairs(pairs, names=CLASSES, mapped=mapped)
            return Source(source.rows, source.test, (*source.notes, f"{NAME} is read from {str(place)!r}"))
    raise DataError(
        f"{NAME} needs its four idx files (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-…; .gz or "
        f"not), but they are not in {', '.join(repr(str(place)) for place in looked)}; install the Debian "
        "package dataset-fashion-mnist, or name their directory with --data-dir or ENSEMBLE_DATA"
    )


def _places(data_dir: str | None) -> list[Path]:
    named = [Path(place).expanduser() for place in (data_dir, os.environ.get("ENSEMBLE_DATA")) if place]
    return [*(place for name in named for place in (name, name / NAME)), DEBIAN]
