"""The idx format of MNIST and its kin: a magic number, big-endian sizes, then bytes; plain or gzipped.

Source: http://yann.lecun.com/exdb/mnist ("the IDX file format").
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from ensemble.data.dataset import Array
from ensemble.data.limits import check_expansion
from ensemble.data.raw import Part, Source, rows_of
from ensemble.errors import DataError

IMAGES, LABELS = 3, 1
"""Axes of the two kinds of file."""
_GZIP = b"\x1f\x8b"
_TESTS = ("t10k", "test")


def read_idx(path: Path, *, axes: int, mapped: bool = False) -> Array:
    """The unsigned bytes of an idx file, ``axes`` dimensions, read-only.

    The magic number is ``00 00 08 axes``: 08 says unsigned bytes. If ``mapped``, those of a file that is not gzipped
    stay there, which must then not change while they are used.

    Raises:
        DataError: unreadable, another magic number, or more or fewer bytes than the header declares.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as plain:
            zipped = plain.read(2) == _GZIP
            plain.seek(0)
            file = gzip.GzipFile(fileobj=plain) if zipped else plain
            header = file.read(4 * (1 + axes))
            shape = _shape(header, axes=axes, path=path)
            declared = math.prod(shape)
            if zipped:
                check_expansion(repr(str(path)), declared=declared, compressed=size)
            elif declared != size - len(header):
                raise DataError(_wrong_length(path, shape, found=f"{size - len(header):,}"))
            elif mapped and declared:
                return np.memmap(path, np.uint8, mode="r", offset=len(header), shape=shape)
            # One byte beyond the end: finds trailing bytes, and makes gzip verify its checksum.
            data = file.read(declared + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{str(path)!r} is a damaged or truncated gzip file ({error}); fetch it again"
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    if len(data) != declared:
        found = "more" if len(data) > declared else f"{len(data):,}"
        raise DataError(_wrong_length(path, shape, found=found))
    return np.frombuffer(data, np.uint8).reshape(shape)


def find_idx(directory: Path) -> dict[str, tuple[Path, Path]]:
    """The pairs of images and labels in a directory, by ``train`` and ``test``; empty where there are none.

    Raises:
        DataError: images without labels, or several files for the same part.
    """
    images, labels = (_by_part(directory, pattern) for pattern in ("*images*idx3*", "*labels*idx1*"))
    for part in sorted(images.keys() ^ labels.keys()):
        have, lack = ("images", "labels") if part in images else ("labels", "images")
        raise DataError(
            f"{str(directory)!r} has {have} of the {part} rows, but no {lack}: {_names(directory)}"
        )
    return {part: (images[part], labels[part]) for part in images}


def read_pairs(
    pairs: dict[str, tuple[Path, Path]], *, names: tuple[str, ...] | None = None, mapped: bool = False
) -> Source:
    """Images and labels; a pair that is alone is all the rows there are.

    Args:
        pairs: From ``find_idx``.
        names: What the labels stand for.
        mapped: Whether images may stay in their file, see ``read_idx``.

    Raises:
        DataError: a file that is damaged, or labels and images that do not belong together.
    """
    parts = {part: _read_pair(*paths, names=names, mapped=mapped) for part, paths in pairs.items()}
    if "train" in parts:
        return Source(parts["train"], parts.get("test"))
    return Source(parts["test"], notes=("only test files are there: their rows are all the rows",))


def _read_pair(images: Path, labels: Path, *, names: tuple[str, ...] | None, mapped: bool) -> Part:
    x, y = read_idx(images, axes=IMAGES, mapped=mapped), read_idx(labels, axes=LABELS)
    if len(x) != len(y):
        raise DataError(f"{str(images)!r} has {len(x):,} images, but {str(labels)!r} has {len(y):,} labels")
    if 0 in x.shape[1:]:
        raise DataError(f"{str(images)!r} declares images of shape {x.shape[1:]}: they are empty")
    if names is not None and len(y) and int(y.max()) >= len(names):
        row = int(np.flatnonzero(y >= len(names))[0])
        raise DataError(
            f"row {row} of {str(labels)!r} (counted from 0) has the label {y[row]}, but there are "
            f"{len(names)} classes, 0 to {len(names) - 1}"
        )
    return Part(x[:, None], y, rows_of(repr(str(images))), names)


def _shape(header: bytes, *, axes: int, path: Path) -> tuple[int, ...]:
    expected = bytes((0, 0, 8, axes))
    if len(header) < 4 or header[:4] != expected:
        raise DataError(
            f"{str(path)!r} starts with {header[:4].hex(' ') or 'nothing'}, but an idx file of "
            f"{'images' if axes == IMAGES else 'labels'} starts with the magic number {expected.hex(' ')}"
        )
    if len(header) < 4 * (1 + axes):
        raise DataError(f"{str(path)!r} is truncated: it ends within its header; fetch it again")
    return struct.unpack(f">{axes}I", header[4:])


def _wrong_length(path: Path, shape: tuple[int, ...], *, found: str) -> str:
    return (
        f"{str(path)!r} declares shape {shape}, {math.prod(shape):,} bytes, but holds {found}: "
        "it is truncated or damaged; fetch it again"
    )


def _by_part(directory: Path, pattern: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    # A plain file comes before its gzipped twin in sorted order, and is quicker to read.
    for path in sorted(directory.glob(pattern)):
        if path.name.startswith(".") or not path.is_file():
            continue
        part = "test" if any(word in path.name.lower() for word in _TESTS) else "train"
        if part in found and path.name != f"{found[part].name}.gz":
            raise DataError(
                f"{str(directory)!r} has several files for the {part} rows: {found[part].name}, {path.name}"
            )
        found.setdefault(part, path)
    return found


def _names(directory: Path) -> str:
    return ", ".join(sorted(path.name for path in directory.iterdir() if "idx" in path.name))
