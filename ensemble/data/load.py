"""The face of this room: a configuration or a source in, rows ready for training or judging out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ensemble.config import DataConfig
from ensemble.data.checks import fit_inputs
from ensemble.data.dataset import Array, Column, Dataset, DataSpec, Rows
from ensemble.data.digest import digest_of
from ensemble.data.encoding import encode, encoding_counts, encoding_notes, fit_columns
from ensemble.data.raw import Part, Source, Table
from ensemble.data.sources import is_table, read_source
from ensemble.data.split import Split, split_rows
from ensemble.data.standardize import apply, choose_mode, fit, standardize_array
from ensemble.data.targets import Targets, lacking, learn_targets, listed, match_targets
from ensemble.errors import DataError

DEFAULT_TEST = 0.2
"""Of the rows, where a source brings no test rows of its own."""


@dataclass(frozen=True)
class NewRows:
    """Rows that a finished run judges or predicts.

    Attributes:
        x: ``(rows, *spec.shape)`` as ``Dataset.x`` holds it: uint8 as read, or float32 already standardized.
        y: ``(rows,)`` int64 class indices or float64 targets; None where none were asked for.
        index: ``(rows,)`` int64: each row's number within the part of the source that was taken.
        note: Which rows were taken and what was converted, in sentences; may be empty.
    """

    x: Array
    y: Array | None
    index: Rows
    note: str = ""


def load_dataset(config: DataConfig, *, seed: int) -> Dataset:
    """Read a source, decide the task, split the rows, and scale the inputs by the training rows.

    Raises:
        DataError: data that cannot be used; the message names the first offending row and column.
        UsageError: options that do not fit the source, or a function that cannot be imported.
    """
    source = read_source(config.data, target=config.target, data_dir=config.data_dir)
    if len(source.rows) < 2:
        raise DataError(f"{config.data!r} has one row; training and testing need at least two")
    targets = learn_targets(source.rows, config.task)
    test, test_notes = _test_part(source, config)
    strata = targets.y if targets.classes else np.zeros(len(targets.y), dtype=np.int64)
    fraction = config.test if isinstance(config.test, float) else DEFAULT_TEST
    cut = split_rows(strata, test=fraction if test is None else len(test), valid=config.valid, seed=seed)
    y = targets.y
    if test is not None:
        y = np.concatenate([y, match_targets(test, task=targets.task, classes=targets.classes)])
    raw, columns, input_notes = _inputs(source.rows, test, train=cut.train)
    mode = choose_mode(config.standardize, raw.shape[1:])
    mean, std = fit(raw, mode, rows=cut.train)
    as_bytes = raw.ndim == 4 and raw.dtype == np.uint8
    (target_mean,), (target_std,) = fit(y[cut.train, None], "none" if targets.classes else "features")
    spec = DataSpec(
        source=config.data,
        task=targets.task,
        shape=raw.shape[1:],
        dtype="uint8" if as_bytes else "float32",
        classes=targets.classes,
        target=config.target,
        columns=columns,
        standardize=mode,
        mean=mean,
        std=std,
        target_mean=target_mean,
        target_std=target_std,
        notes=(*targets.notes, *source.notes, *test_notes, *_class_notes(y, cut, targets), *input_notes),
        sha256=digest_of((raw, y, cut.train, cut.valid, cut.test), targets.classes),
        test_sha256=digest_of((raw[cut.test], y[cut.test]), targets.classes),
    )
    x = np.ascontiguousarray(raw) if as_bytes else apply(raw, mode=mode, mean=mean, std=std)
    return Dataset(spec=spec, x=x, y=y, train=cut.train, valid=cut.valid, test=cut.test)


def load_rows(source: str, spec: DataSpec, *, labelled: bool, data_dir: str | None = None) -> NewRows:
    """New rows, made into the inputs of a finished run.

    Of a source with test rows of its own these are taken, of any other all rows.

    Args:
        source: What ``--data`` takes.
        spec: Of the run.
        labelled: Whether targets are needed; where not, they are left out.
        data_dir: Where the files of a named data set lie.

    Raises:
        DataError: rows that cannot be used or that differ from the training rows; the difference is named.
    """
    check_kind(source, table=bool(spec.columns))
    read = read_source(
        source,
        target=spec.target,
        data_dir=data_dir,
        labelled=labelled,
        like={column.name: column.kind for column in spec.columns},
        text_target=_is_text(spec.classes),
    )
    part, notes = taken(read, source)
    if part is read.rows:
        notes = (*notes, *own_rows(source, spec))
    y = match_targets(part, task=spec.task, classes=spec.classes) if labelled else None
    if isinstance(part.x, Table):
        raw: Array = encode(part.x, spec.columns)
        more = encoding_notes(encoding_counts(part.x, spec.columns), spec.columns)
    else:
        raw, more = fit_inputs(part.x, shape=spec.shape, dtype=spec.dtype, name=repr(source))
    x = np.ascontiguousarray(raw) if spec.dtype == "uint8" else standardize_array(raw, spec)
    return NewRows(x, y, np.arange(len(x), dtype=np.int64), "; ".join((*notes, *more)))


def _test_part(source: Source, config: DataConfig) -> tuple[Part | None, tuple[str, ...]]:
    """Test rows that are apart from the others, or None where they have to be drawn."""
    if isinstance(config.test, float):
        own = "; its own test rows are left out" if source.test is not None else ""
        return None, (f"test rows: {config.test:g} of the rows of the source, drawn{own}",)
    if config.test is None:
        if source.test is None:
            return None, (
                f"test rows: {DEFAULT_TEST:g} of the rows, drawn, since the source brings none of its own",
            )
        return source.test, ("test rows: the source's own",)
    table = source.rows.x if isinstance(source.rows.x, Table) else None
    check_kind(config.test, table=table is not None)
    other = read_source(
        config.test,
        target=config.target,
        data_dir=config.data_dir,
        like=None if table is None else {name: cells.kind for name, cells in table.columns.items()},
        text_target=source.rows.names is not None,
    )
    part, notes = taken(other, config.test)
    return part, (f"test rows: {config.test!r}", *notes)


def taken(source: Source, name: str) -> tuple[Part, tuple[str, ...]]:
    """The rows that judge: a source's own test rows, or all where it has none."""
    if source.test is None:
        return source.rows, (*source.notes, all_taken(name, len(source.rows)))
    return source.test, (*source.notes, f"of {name!r} its own {len(source.test):,} test rows are taken")


def all_taken(name: str, rows: int) -> str:
    """Says so of a source that brings no test rows of its own."""
    return f"of {name!r} all {rows:,} rows are taken"


def own_rows(name: str, spec: DataSpec) -> tuple[str, ...]:
    """Says of the source that a run was trained on what judging by all of it is worth."""
    return (
        ("most of them are rows that this run was trained on, which flatters it",)
        if name == spec.source
        else ()
    )


def check_kind(name: str, *, table: bool) -> None:
    """Refuse a table where the training rows are arrays, and the other way round."""
    if is_table(name) != table:
        kinds = "arrays or images", "a table"
        raise DataError(f"the training rows are {kinds[table]}, but {name!r} is {kinds[not table]}")


def _inputs(
    rows: Part, test: Part | None, *, train: Rows
) -> tuple[Array, tuple[Column, ...], tuple[str, ...]]:
    """All inputs, not yet standardized: the source's rows, then the test rows that are apart."""
    parts = [rows] if test is None else [rows, test]
    tables = [part.x for part in parts if isinstance(part.x, Table)]
    if tables:
        columns = fit_columns(tables[0], train)
        return (
            np.concatenate([encode(table, columns) for table in tables]),
            columns,
            encoding_notes(np.sum([encoding_counts(table, columns) for table in tables], axis=0), columns),
        )
    x, *others = [part.x for part in parts if not isinstance(part.x, Table)]
    if not others:
        return x, (), ()
    dtype = "uint8" if x.dtype == np.uint8 else "float32"
    other, notes = fit_inputs(others[0], shape=x.shape[1:], dtype=dtype, name="the test part")
    return np.concatenate([x, other]), (), notes


def _class_notes(y: Array, cut: Split, targets: Targets) -> tuple[str, ...]:
    """Classes that are too rare to be everywhere."""
    if not targets.classes:
        return ()
    counts = np.bincount(targets.y, minlength=len(targets.classes))
    single = [name for name, count in zip(targets.classes, counts, strict=True) if count == 1]
    notes = [f"classes with a single row, kept for training: {listed(single)}"] if single else []
    for part, index in (("validation", cut.valid), ("test", cut.test)):
        absent = lacking(y[index], targets.classes)
        if absent and len(index):
            notes.append(f"classes without a {part} row: {listed(absent)}")
    return tuple(notes)


def _is_text(classes: Sequence[str]) -> bool:
    """Whether labels were read as text: classes of integers and booleans have names of their own form."""
    return not all(re.fullmatch(r"-?\d+|False|True", name) for name in classes)
