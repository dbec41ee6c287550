"""A source by the string that names it: told apart and handed to its reader."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ensemble.data.bundled import BUNDLED, read_bundled
from ensemble.data.called import read_called
from ensemble.data.checks import check_part
from ensemble.data.fashion import NAME as FASHION
from ensemble.data.fashion import read_fashion
from ensemble.data.idx import find_idx, read_pairs
from ensemble.data.npz import read_npz
from ensemble.data.raw import Kind, Source
from ensemble.data.spelling import nearest
from ensemble.errors import DataError, UsageError
from ensemble.functions import is_function_path

TABLES = (".csv", ".parquet")
KINDS = (
    f"a bundled set ({', '.join(BUNDLED)}), {FASHION}, a directory of idx files or of class folders, "
    "FILE.csv, FILE.parquet, FILE.npz, MODULE:FUNCTION"
)


def is_table(source: str) -> bool:
    """Whether the source is a file of columns, one of which is the target."""
    return Path(source).suffix.lower() in TABLES


def read_source(
    source: str,
    *,
    target: str | None = None,
    data_dir: str | None = None,
    labelled: bool = True,
    like: Mapping[str, Kind] | None = None,
    text_target: bool = False,
    mapped: bool = False,
) -> Source:
    """Read all rows of a source and check each on its own.

    Args:
        source: What ``--data`` takes.
        target: Target column of a table.
        data_dir: Where the files of a named data set lie.
        labelled: Whether targets must be there.
        like: For a table: the input columns of the training rows and their kinds.
        text_target: For a table: whether its targets are text.
        mapped: Whether arrays may stay in their file, which must then not change while they are used.

    Raises:
        DataError: no such source, or rows that cannot be used.
        UsageError: a target column named for a source that has no columns.
    """
    if target is not None and not is_table(source):
        raise UsageError(
            f"target is {target!r}, but {source!r} is no table: only CSV and Parquet files have columns"
        )
    if is_table(source):
        from ensemble.data.tabular import read_table  # pyarrow, only where there is a table

        path = file_of(source)
        found = read_table(path, target=target, labelled=labelled, like=like, text_target=text_target)
    else:
        found = _read(source, data_dir=data_dir, labelled=labelled, mapped=mapped)
    check_part(found.rows, name=repr(source))
    if found.test is not None:
        check_part(found.test, name=f"the test part of {source!r}")
    return found


def file_of(source: str) -> Path:
    """Where a source that is a file lies.

    Raises:
        DataError: there is no such file.
    """
    path = Path(source).expanduser()
    if not os.path.isfile(path):
        raise DataError(f"there is no file {source!r}; looked in {str(Path.cwd())!r}")
    return path


def _read(source: str, *, data_dir: str | None, labelled: bool, mapped: bool) -> Source:
    if source in BUNDLED:
        return read_bundled(source)
    if source == FASHION:
        return read_fashion(data_dir, mapped=mapped)
    path = Path(source).expanduser()
    # Not Path.is_dir, which raises where a parent may not be read; and an empty path would be this directory.
    if source and os.path.isdir(path):
        pairs = find_idx(path)
        if pairs:
            return read_pairs(pairs, mapped=mapped)
        from ensemble.data.images import read_images  # Pillow, only where there are images

        return read_images(path, labelled=labelled)
    if path.suffix.lower() == ".npz":
        return read_npz(file_of(source), labelled=labelled, mapped=mapped)
    if is_function_path(source):
        return read_called(source, labelled=labelled)
    there = "is a file of another kind" if source and os.path.exists(path) else "is no data source"
    raise DataError(f"{source!r} {there}{nearest(source, (*BUNDLED, FASHION))}; a source is {KINDS}")
