"""A finished run on new labelled rows: the same evaluation as on its own test rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ensemble.combining.scratch import scratch
from ensemble.data.dataset import Array, Dataset
from ensemble.data.digest import digest_of
from ensemble.data.load import NewRows
from ensemble.errors import RunError
from ensemble.evaluation.evaluate import EvaluationInput, Predictors, evaluate
from ensemble.evaluation.shift import shift
from ensemble.runs.publishing import row_images, shown_rows
from ensemble.runs.records import AverageRecord, MemberRecord
from ensemble.runs.reporting import evaluation_input, finished_members, parameter_averages
from ensemble.runs.store import RunStore
from ensemble.training.events import Origin, Predictor
from ensemble.training.networks import channels_last, choose_device, load_weights, make_net
from ensemble.training.predictors import final_predictors, predictor
from ensemble.training.rows import DeviceRows


def evaluate_rows(store: RunStore, rows: NewRows, *, source: str) -> dict[str, Any]:
    """Every combiner on new labelled rows, as a document with the sections of ``report.json`` and ``shift``: these
    rows beside the run's own.

    What was fitted stays fitted: selection, temperature and conformal sets come from the run's validation rows.

    Raises:
        RunError: no finished member, or a damaged file.
    """
    records = finished_members(store)
    if not records:
        raise RunError(f"run {str(store.root)!r} has no finished member yet; train it first")
    assert rows.y is not None, "the source was read as labelled"
    own = evaluation_input(store, records)
    nothing = np.empty(0, dtype=np.int64)
    data = Dataset(store.spec, rows.x, rows.y, nothing, nothing, np.arange(len(rows.x)))
    plan = store.plans[0]
    inputs = DeviceRows(data.x, data.spec, choose_device(), channels_last=channels_last(plan))
    said = _said(store, own, records, data, inputs)
    given = replace(
        own,
        test_targets=rows.y,
        predictors=tuple(
            Predictors(one.origin, one.members, one.valid, said[one.origin]) for one in own.predictors
        ),
        oob=None,
        averages=tuple(
            parameter_averages(store, records, lambda record: _average(store, record, data, inputs))
        ),
    )
    evaluation = evaluate(given)
    return {
        "schema": 1,
        "name": store.record.name,
        "task": store.spec.task,
        "data": {
            "source": source,
            "rows": {"train": 0, "valid": 0, "test": len(rows.x)},
            "classes": list(store.spec.classes),
            "shape": list(store.spec.shape),
            "sha256": digest_of([rows.x, rows.y], store.spec.classes),
            "notes": [rows.note] if rows.note else [],
        },
        "members": [
            {"index": record.index, "status": "done", "test": scores.test, "oob": None}
            for record, scores in zip(records, evaluation.member_metrics, strict=True)
        ],
        **evaluation.as_json(),
        "shift": shift(own, given, evaluations=(evaluate(own), evaluation)),
        "config": store.record.config.flat(),
    }


def images_of(store: RunStore, rows: NewRows, report: dict[str, Any]) -> dict[int, Array]:
    """Images ``(height, width, 1|3)`` of the new rows that the document shows one by one, by their number."""
    shown = shown_rows(report)
    images = row_images(rows.x[shown], store.spec)
    return {} if images is None else dict(zip(shown, images, strict=True))


def _said(
    store: RunStore, own: EvaluationInput, records: list[MemberRecord], data: Dataset, inputs: DeviceRows
) -> dict[str, Array]:
    """``(predictors, rows, outputs)`` by origin, as many and in the order of the run's own."""
    found: dict[str, Array] = {}
    filled: Counter[str] = Counter()
    counts = {one.origin: len(one.members) for one in own.predictors}
    for record in records:
        for one in _predictors(store, record, data, inputs):
            values = one.predictions["test"]
            if one.origin not in found:
                found[one.origin] = scratch((counts[one.origin], *values.shape), values.dtype)
            found[one.origin][filled[one.origin]] = values
            filled[one.origin] += 1
    return found


def _predictors(
    store: RunStore, record: MemberRecord, data: Dataset, inputs: DeviceRows
) -> Iterator[Predictor]:
    plan = store.plans[record.index]
    plan = plan.model_copy(update={"resample": "none"})  # new rows have no training rows to be out of bag of
    net = make_net(plan, choose_device())
    load_weights(net, store.weights(record))
    yield from final_predictors(plan, data, net, inputs)
    with_weights: tuple[Origin, ...] = ("snapshots", "averaged")
    for origin in with_weights:
        for index in range(store.predictor_count(record, origin)):
            load_weights(net, store.weights(record, origin, index))
            yield predictor(plan, data, net, inputs, origin=origin, index=index)


def _average(store: RunStore, record: AverageRecord, data: Dataset, inputs: DeviceRows) -> dict[str, Array]:
    plan = store.plans[0].model_copy(update={"resample": "none"})
    net = make_net(plan, choose_device())
    load_weights(net, store.averages.weights(record))
    one = predictor(plan, data, net, inputs, origin="members", index=0)
    return {**store.averages.predictions(record), "test": one.predictions["test"]}
