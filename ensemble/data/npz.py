"""NumPy's .npz: a zip of arrays, read without pickle and without trusting what its headers promise."""

from __future__ import annotations

import math
import struct
import warnings
import zipfile
from pathlib import Path
from typing import IO, Literal

import numpy as np

from ensemble.combining.scratch import scratch
from ensemble.data.arrays import part_of
from ensemble.data.dataset import Array
from ensemble.data.limits import check_expansion
from ensemble.data.raw import Source, rows_of
from ensemble.errors import DataError

KEYS = ("x", "y", "x_test", "y_test")
PIECE = 2**20
"""Bytes that are read at a time where an array does not go into memory."""
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(path: Path, *, labelled: bool = True, mapped: bool = False) -> Source:
    """Arrays ``x`` and ``y``, and where they are there ``x_test`` and ``y_test``.

    Args:
        path: The file.
        labelled: Whether ``y`` must be there.
        mapped: Whether arrays that are not compressed may stay in the file, which must then not change while they are
            used, and large compressed ones be unpacked into a temporary file.

    Raises:
        DataError: not a zip, a damaged one or a bomb; arrays that need pickle; ``x`` or ``y`` missing.
    """
    arrays, others = _read_arrays(path, mapped=mapped)
    source = source_of(arrays, name=repr(str(path)), labelled=labelled)
    if not others:
        return source
    return Source(
        source.rows, source.test, (*source.notes, f"other arrays are left alone: {', '.join(others)}")
    )


def source_of(arrays: dict[str, Array], *, name: str, labelled: bool) -> Source:
    """A source from arrays by their names ``x``, ``y``, ``x_test``, ``y_test``.

    Raises:
        DataError: ``x`` is missing, or ``y`` though it is needed, or one of the test pair.
    """
    has_test = "x_test" in arrays or "y_test" in arrays
    needed = ["x", *(["y"] if labelled else []), *(["x_test"] if has_test else [])]
    needed += ["y_test"] if has_test and labelled else []
    for key in needed:
        if key not in arrays:
            raise DataError(
                f"{name} has no array {key!r}; it has {', '.join(map(repr, arrays)) or 'none'}; "
                "needed are x and y, and both x_test and y_test or neither"
            )
    rows, notes = part_of(arrays["x"], arrays.get("y"), name=name, where=rows_of(f"x in {name}"))
    if not has_test:
        return Source(rows, notes=notes)
    test, more = part_of(
        arrays["x_test"],
        arrays.get("y_test"),
        name=f"the test rows of {name}",
        where=rows_of(f"x_test in {name}"),
    )
    return Source(rows, test, tuple(dict.fromkeys((*notes, *more))))


def _read_arrays(path: Path, *, mapped: bool) -> tuple[dict[str, Array], list[str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            declared = sum(info.file_size for info in members.values())
            compressed = sum(info.compress_size for info in members.values())
            check_expansion(repr(str(path)), declared=declared, compressed=compressed)
            arrays = {}
            for key in KEYS:
                if key in members:
                    with archive.open(members[key]) as file:
                        name = f"array {key!r} of {str(path)!r}"
                        arrays[key] = _read_array(
                            file, members[key], name=name, mapped=path if mapped else None
                        )
            return arrays, sorted(members.keys() - set(KEYS))
    except DataError:
        raise
    except zipfile.BadZipFile as error:
        raise DataError(f"{str(path)!r} is not a sound .npz (a zip of arrays): {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except (
        Exception
    ) as error:  # a hostile zip raises nearly anything: struct, zlib, NotImplementedError, RuntimeError
        raise DataError(f"{str(path)!r} is not a sound .npz: {type(error).__name__}: {error}") from error


def _read_array(file: IO[bytes], entry: zipfile.ZipInfo, *, name: str, mapped: Path | None) -> Array:
    """One array, its header checked against the bytes that are there before any memory is taken for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # headers of Python 2 are parsed by a slower, laxer path
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise DataError(f"{name} has npy version {version}; write it again with numpy.savez")
        shape, fortran, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise DataError(
            f"{name} holds Python objects, which only pickle could read, and pickle runs code; "
            "save it as numbers or strings"
        )
    header = file.tell()
    length = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or length != entry.file_size - header:
        raise DataError(
            f"{name} declares shape {shape} of {dtype}, but holds {entry.file_size - header:,} bytes"
        )
    order: Literal["F", "C"] = "F" if fortran else "C"
    if mapped is None or not length:
        data: Array = np.frombuffer(file.read(length), dtype, count=math.prod(shape))
    elif entry.compress_type == zipfile.ZIP_STORED:
        _read_through(file)
        offset = _begin(mapped, entry) + header
        data = np.memmap(mapped, dtype, mode="r", offset=offset, shape=(math.prod(shape),))
    else:
        data = scratch((math.prod(shape),), dtype)
        _read_through(file, into=data.view(np.uint8).data)
    return data.reshape(shape, order=order).astype(dtype.newbyteorder("="), copy=False)


def _read_through(file: IO[bytes], into: memoryview | None = None) -> None:
    """To the end, where a zip's checksum is verified; a piece at a time, so that no memory is taken."""
    place = 0
    while part := file.read(PIECE):
        if into is not None:
            into[place : place + len(part)] = part
        place += len(part)


def _begin(path: Path, entry: zipfile.ZipInfo) -> int:
    """Where the contents of an entry begin: behind its local header, whose lengths are not those of the directory."""
    with path.open("rb") as file:
        file.seek(entry.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return int(entry.header_offset + 30 + name + extra)
