"""From a run directory to its report: predictions in, the document of ``report.json`` out. Reads, never writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ensemble.data.dataset import Array
from ensemble.errors import UsageError
from ensemble.evaluation.evaluate import (
    Evaluation,
    EvaluationInput,
    OutOfBag,
    ParameterAverage,
    Predictors,
    evaluate,
)
from ensemble.evaluation.held_out import split_holdout
from ensemble.members.plan import MemberPlan, plan_members
from ensemble.members.resampling import unseen_rows
from ensemble.runs.history import training_curves
from ensemble.runs.records import AverageRecord, MemberRecord
from ensemble.runs.store import RunStore
from ensemble.streams import Purpose, member_sequence, torch_seed
from ensemble.training.events import Origin

Said = dict[str, Array]
"""Predictions by part of the rows."""

ORIGINS: tuple[Origin, ...] = ("members", "snapshots", "heads", "dropout", "averaged")


def make_report(store: RunStore, pool: dict[str, Any] | None = None) -> dict[str, Any]:
    """The document of ``report.json``, from what the run directory holds.

    Args:
        store: The run.
        pool: What the pool says of itself; None takes it from the last report.

    Raises:
        RunError: a file is damaged, or no member is done.
    """
    records = finished_members(store)
    evaluation = evaluate(evaluation_input(store, records))
    targets = store.targets()
    if pool is None:
        pool = store.report()["environment"]["pool"] if store.report_json.exists() else {}
    return {
        "schema": 1,
        "name": store.record.name,
        "task": store.spec.task,
        "data": {
            "source": store.spec.source,
            "rows": {part: len(targets[part]) for part in ("train", "valid", "test")},
            "classes": list(store.spec.classes),
            "shape": list(store.spec.shape),
            "sha256": store.spec.sha256,
            "test_sha256": store.spec.test_sha256,
            "notes": list(store.spec.notes),
        },
        "members": _members(store, evaluation, records),
        **evaluation.as_json(),
        "training": training_curves(store, records),
        "cost": _cost(store, records, pool),
        "environment": _environment(store, records, pool),
        "config": store.record.config.flat(),
    }


def finished_members(store: RunStore) -> list[MemberRecord]:
    """Manifests of the members that are done, by index."""
    count = store.record.config.ensemble.members
    records = [store.member(index) for index in range(count)]
    return [record for record in records if record is not None]


def evaluation_input(store: RunStore, records: list[MemberRecord]) -> EvaluationInput:
    """Everything that evaluation looks at: the predictions as the workers computed them, once, and the targets."""
    config, targets = store.record.config, store.targets()
    predictors = [_predictors(store, records, origin) for origin in ORIGINS]
    return EvaluationInput(
        task=store.spec.task,
        classes=store.spec.classes,
        valid_targets=targets["valid_targets"] if len(targets["valid"]) else None,
        test_targets=targets["test_targets"],
        predictors=tuple(p for p in predictors if p is not None),
        averages=tuple(parameter_averages(store, records)),
        oob=_out_of_bag(store, records, targets),
        seed=config.ensemble.seed,
    )


def selection_rows(store: RunStore, records: list[MemberRecord]) -> tuple[Array, Array]:
    """The members' predictions and the targets on those validation rows that serve selection.

    Raises:
        UsageError: the run has no validation rows.
    """
    given = evaluation_input(store, records)
    values = given.members.valid
    if values is None or given.valid_targets is None:
        raise UsageError("combine greedy selects on validation rows, but this run has none (valid is 0)")
    rows, _ = split_holdout(len(given.valid_targets), seed=given.seed)
    return values[:, rows], given.valid_targets[rows]


def parameter_averages(
    store: RunStore,
    records: list[MemberRecord],
    said: Callable[[AverageRecord], Said] | None = None,
) -> Iterator[ParameterAverage]:
    """The run's averages of parameters: each of the members, and those of snapshots together.

    Args:
        store: The run.
        records: Its finished members.
        said: What an average says of rows; the run's own where this is left out.
    """
    say = store.average_predictions if said is None else said
    for name in ("averaged", "unmatched", "greedy"):
        record = store.average(name)
        if record is not None:
            chosen = tuple(member for member, _ in record.networks) if name == "greedy" else None
            yield ParameterAverage("members", *_parts([say(record)]), chosen=chosen, matched=record.matched)
    of_snapshots = [store.average(f"snapshots-{record.index:03d}") for record in records]
    if any(of_snapshots):
        yield ParameterAverage("snapshots", *_parts([say(record) for record in of_snapshots if record]))


def _parts(said: list[Said]) -> tuple[Array | None, Array]:
    """Valid and test predictions, ``(predictors, rows, outputs)``; valid is None without validation rows."""
    valid = np.stack([one["valid"] for one in said]) if "valid" in said[0] else None
    return valid, np.stack([one["test"] for one in said])


def _predictors(store: RunStore, records: list[MemberRecord], origin: Origin) -> Predictors | None:
    pairs = [(r, i) for r in records for i in range(store.predictor_count(r, origin))]
    if not pairs:
        return None
    said = [store.predictions(record, origin, index) for record, index in pairs]
    return Predictors(origin, tuple(record.index for record, _ in pairs), *_parts(said))


def _out_of_bag(store: RunStore, records: list[MemberRecord], targets: dict[str, Array]) -> OutOfBag | None:
    if store.record.config.ensemble.resample != "bootstrap":
        return None
    plans = plan_members(store.record.config, store.spec)
    train = targets["train"]
    rows, values = [], []
    for record in records:
        unseen = unseen_rows(plans[record.index], train)
        said = store.predictions(record).get("oob")
        assert unseen is not None
        rows.append(np.searchsorted(train, unseen))
        # A member that saw every row has nothing to say.
        values.append(np.empty((0, plans[record.index].outputs)) if said is None else said)
    return OutOfBag(tuple(rows), tuple(values), targets["train_targets"])


def _members(store: RunStore, evaluation: Evaluation, records: list[MemberRecord]) -> list[dict[str, Any]]:
    config = store.record.config
    plans: tuple[MemberPlan, ...] = plan_members(config, store.spec)
    done = {record.index: (position, record) for position, record in enumerate(records)}
    rows = []
    for plan in plans:
        seed = torch_seed(member_sequence(plan.seed, plan.index, Purpose.INIT))
        row: dict[str, Any] = {"index": plan.index, "seed": seed, "resample": plan.resample}
        if plan.index in done:
            position, record = done[plan.index]
            scores = evaluation.member_metrics[position]
            row |= {"status": "done", "attempts": record.attempts, "epochs": record.epochs}
            row |= {"seconds": record.seconds, "test": scores.test, "oob": scores.oob, "mixed": record.mixed}
        else:
            failure = store.failure(plan.index)
            row["status"] = "diverged" if failure and failure.cause == "diverged" else "failed"
            row |= {"attempts": failure.attempts if failure else 0, "epochs": 0, "seconds": 0.0}
            row |= {"test": None, "oob": None, "cause": failure.cause if failure else "not trained"}
        rows.append(row)
    return rows


def _cost(store: RunStore, records: list[MemberRecord], pool: dict[str, Any]) -> dict[str, Any]:
    wall = training_wall_seconds(store)
    member_seconds = sum(record.seconds for record in records)
    workers = pool.get("workers", 1)
    return {
        "wall_seconds": wall,
        "member_seconds": member_seconds,
        "parallel_efficiency": member_seconds / (workers * wall) if wall else None,
        "predict_seconds_per_1000_rows": sum(record.predict_seconds_per_1000_rows for record in records),
        "parameters": store.record.parameters * len(records),
    }


def training_wall_seconds(store: RunStore) -> float:
    """From the first start of a member to the last end of one, added up over the sessions of the run."""
    wall, begun, last = 0.0, None, 0.0
    for event in store.events():
        if event.get("event") == "session":
            wall, begun = wall + (last - begun if begun is not None else 0.0), None
        elif event.get("event") in ("started", "epoch", "finished", "failed"):
            begun, last = event["time"] if begun is None else begun, event["time"]
    return wall + (last - begun if begun is not None else 0.0)


def _environment(store: RunStore, records: list[MemberRecord], pool: dict[str, Any]) -> dict[str, Any]:
    prints = [record.fingerprint for record in records]
    return {
        "versions": store.record.versions,
        "hardware": sorted({f"{p['hardware']} ({p['device']})" for p in prints}),
        "threads": sorted({p["threads"] for p in prints}),
        "precision": sorted({p["precision"] for p in prints}),
        "stack": store.record.config.execution.stack,
        "pool": pool,
    }
