"""What predictors said, from their many files into few arrays: one file at a time, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ensemble.combining.scratch import scratch
from ensemble.data.dataset import Array
from ensemble.evaluation.inputs import OutOfBag, Predictors
from ensemble.members.resampling import unseen_rows
from ensemble.runs.records import MemberRecord
from ensemble.runs.store import RunStore
from ensemble.training.events import Origin, Said


def gathered(said: Iterable[Said], count: int) -> tuple[Array | None, Array]:
    """``(predictors, rows, outputs)`` of valid and test rows; valid is None without validation rows.

    Args:
        said: Of ``count`` predictors, the same parts each.
        count: At least one.
    """
    found: dict[str, Array] = {}
    for place, one in enumerate(said):
        for part in ("valid", "test"):
            if part in one:
                if part not in found:
                    found[part] = scratch((count, *one[part].shape), one[part].dtype)
                found[part][place] = one[part]
    return found.get("valid"), found["test"]


def predictors_of(
    store: RunStore, records: list[MemberRecord], origin: Origin, *, unseen: OutOfBag | None = None
) -> Predictors | None:
    """Those of one origin; None where the members have none.

    Args:
        store: The run.
        records: Its finished members.
        origin: Of which predictors.
        unseen: From `out_of_bag`: is filled with what the predictors said of these rows.
    """
    pairs = [(record, index) for record in records for index in range(store.predictor_count(record, origin))]
    if not pairs:
        return None

    def read() -> Iterator[Said]:
        for place, (record, index) in enumerate(pairs):
            said = store.predictions(record, origin, index)
            if unseen is not None and "oob" in said:  # a member that saw every row has nothing to say
                unseen.values[place][:] = said["oob"]
            yield said

    return Predictors(origin, tuple(record.index for record, _ in pairs), *gathered(read(), len(pairs)))


def out_of_bag(store: RunStore, records: list[MemberRecord]) -> OutOfBag | None:
    """The rows that each member never saw, with room for what it said of them; None without members or bootstrap."""
    if store.record.config.ensemble.resample != "bootstrap" or not records:
        return None
    targets = store.targets()
    train = targets["train"]

    def unseen(record: MemberRecord) -> Array:
        found = unseen_rows(store.plans[record.index], train)
        assert found is not None
        return np.searchsorted(train, found)

    # Drawn twice, from their seeds, since all of them together may not fit the memory.
    ends = np.cumsum([len(unseen(record)) for record in records])
    rows = np.split(scratch((ends[-1],), np.int64), ends[:-1])
    for record, room in zip(records, rows, strict=True):
        room[:] = unseen(record)
    dtype = np.float32 if store.spec.task == "classification" else np.float64
    values = np.split(scratch((ends[-1], store.plans[0].outputs), dtype), ends[:-1])
    return OutOfBag(tuple(rows), tuple(values), targets["train_targets"])
