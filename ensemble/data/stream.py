"""Rows to be predicted, a piece at a time: a file larger than memory is never held as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ensemble.data.checks import check_part, fit_inputs
from ensemble.data.dataset import Array, DataSpec
from ensemble.data.encoding import encode, encoding_counts, encoding_notes
from ensemble.data.load import all_taken, check_kind, own_rows, taken
from ensemble.data.raw import Part, Table, further
from ensemble.data.sources import file_of, is_table, read_source
from ensemble.data.standardize import standardize_array


class RowStream:
    """The inputs of a finished run from a source, in order, in pieces that are made as they are asked for.

    Tables are read on from piece to piece. Arrays that lie uncompressed in a file are mapped, and the pages that were
    read are the kernel's to drop; compressed ones are unpacked into a temporary file where they are large. Images of
    class folders, gzipped idx files and what a function returns are held as they are.

    Attributes:
        rows: How many were handed out so far.
        note: Which rows were taken and what was converted, in sentences; complete after the last piece.
    """

    def __init__(self, source: str, spec: DataSpec, *, piece: int, data_dir: str | None = None) -> None:
        """
        Args:
            source: What ``--data`` takes. Of one with test rows of its own these are taken, of any other all rows.
            spec: Of the run.
            piece: Rows of each piece but the last.
            data_dir: Where the files of a named data set lie.

        Raises:
            DataError: no table where the training rows are one, or the other way round; a table without their columns.
        """
        self._spec = spec
        self._source = source
        self.rows = 0
        self.note = ""
        check_kind(source, table=bool(spec.columns))
        self._pieces = self._of_table(piece) if is_table(source) else self._of_arrays(piece, data_dir)

    def __iter__(self) -> Iterator[Array]:
        """``(rows, *spec.shape)`` as ``Dataset.x`` holds them.

        Raises:
            DataError: rows that cannot be used or that differ from the training rows; the first one is named.
        """
        for x in self._pieces:
            self.rows += len(x)
            yield x

    def _of_table(self, piece: int) -> Iterator[Array]:
        from ensemble.data.tablestream import TableStream  # pyarrow, only where there is a table

        spec = self._spec
        kinds = {column.name: column.kind for column in spec.columns}
        table = TableStream(file_of(self._source), target=spec.target, like=kinds)
        return self._encoded(table.parts(piece), left_out=table.note)

    def _encoded(self, parts: Iterator[Part], *, left_out: str) -> Iterator[Array]:
        counts = np.zeros((len(self._spec.columns), 2), dtype=np.int64)
        rows = 0
        for part in parts:
            assert isinstance(part.x, Table)
            check_part(part, name=repr(self._source))
            counts += encoding_counts(part.x, self._spec.columns)
            yield standardize_array(encode(part.x, self._spec.columns), self._spec, where=part.where)
            rows += len(part)
        notes = [left_out] if left_out else []
        notes += [all_taken(self._source, rows), *own_rows(self._source, self._spec)]
        self.note = "; ".join((*notes, *encoding_notes(counts, self._spec.columns)))

    def _of_arrays(self, piece: int, data_dir: str | None) -> Iterator[Array]:
        read = read_source(self._source, data_dir=data_dir, labelled=False, mapped=True)
        part, notes = taken(read, self._source)
        if part is read.rows:
            notes = (*notes, *own_rows(self._source, self._spec))
        x, spec, where = part.x, self._spec, part.where
        assert not isinstance(x, Table)
        for start in range(0, len(x), piece):
            raw, more = fit_inputs(
                x[start : start + piece], shape=spec.shape, dtype=spec.dtype, name=repr(self._source)
            )
            notes = tuple(dict.fromkeys((*notes, *more)))
            if spec.dtype == "uint8":
                yield np.ascontiguousarray(raw)
            else:
                yield standardize_array(raw, spec, where=partial(further, where, start))
        self.note = "; ".join(notes)
