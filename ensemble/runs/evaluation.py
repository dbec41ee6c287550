"""A finished run on new labelled rows: the same evaluation as on its own test rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ensemble.data.dataset import Dataset
from ensemble.data.digest import digest_of
from ensemble.data.load import NewRows
from ensemble.errors import RunError
from ensemble.evaluation.evaluate import ParameterAverage, Predictors, evaluate
from ensemble.members.plan import plan_members
from ensemble.runs.records import MemberRecord
from ensemble.runs.reporting import evaluation_input, finished_members
from ensemble.runs.store import RunStore
from ensemble.training.events import Predictor
from ensemble.training.predictors import final_predictors, predictor
from ensemble.training.rows import DeviceRows
from ensemble.training.score import choose_device, load_weights, make_net


def evaluate_rows(store: RunStore, rows: NewRows, *, source: str) -> dict[str, Any]:
    """Every combiner on new labelled rows, as a document with the sections of ``report.json``.

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
    inputs = DeviceRows(data.x, data.spec, choose_device())
    said: dict[str, list[Predictor]] = {}
    for record in records:
        for one in _predictors(store, record, data, inputs):
            said.setdefault(one.origin, []).append(one)
    given = replace(
        own,
        test_targets=rows.y,
        predictors=tuple(
            Predictors(
                p.origin, p.members, p.valid, np.stack([one.predictions["test"] for one in said[p.origin]])
            )
            for p in own.predictors
        ),
        oob=None,
        averages=tuple(_average(store, average, data, inputs) for average in own.averages),
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
    }


def _predictors(store: RunStore, record: MemberRecord, data: Dataset, inputs: DeviceRows) -> list[Predictor]:
    plan = plan_members(store.record.config, store.spec)[record.index]
    plan = plan.model_copy(update={"resample": "none"})  # new rows have no training rows to be out of bag of
    net = make_net(plan, choose_device())
    load_weights(net, store.weights(record))
    found = list(final_predictors(plan, data, net, inputs))
    for index in range(store.predictor_count(record, "snapshots")):
        load_weights(net, store.weights(record, "snapshots", index))
        found.append(predictor(plan, data, net, inputs, origin="snapshots", index=index))
    return found


def _average(
    store: RunStore, average: ParameterAverage, data: Dataset, inputs: DeviceRows
) -> ParameterAverage:
    record = store.average()
    assert record is not None
    plan = plan_members(store.record.config, store.spec)[0].model_copy(update={"resample": "none"})
    net = make_net(plan, choose_device())
    load_weights(net, store.average_weights(record))
    one = predictor(plan, data, net, inputs, origin="members", index=0)
    return replace(average, test=one.predictions["test"])
