"""From a run directory to its report: predictions in, the document of ``report.json`` out. Reads, never writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ensemble.combining.selection import Selection, greedy
from ensemble.errors import UsageError
from ensemble.evaluation.evaluate import (
    Evaluation,
    EvaluationInput,
    ParameterAverage,
    evaluate,
)
from ensemble.evaluation.held_out import split_holdout
from ensemble.runs.gathering import gathered, out_of_bag, predictors_of
from ensemble.runs.history import training_curves
from ensemble.runs.records import AverageRecord, MemberRecord
from ensemble.runs.store import RunStore
from ensemble.streams import Purpose, member_sequence, torch_seed
from ensemble.training.events import Origin, Said

ORIGINS: tuple[Origin, ...] = ("members", "snapshots", "heads", "dropout", "averaged")


def make_report(
    store: RunStore, pool: dict[str, Any] | None = None, *, records: list[MemberRecord] | None = None
) -> dict[str, Any]:
    """The document of ``report.json``, from what the run directory holds.

    Args:
        store: The run.
        pool: What the pool says of itself; None takes it from the last report.
        records: Manifests of its finished members, where they were read already.

    Raises:
        RunError: a file is damaged, or no member is done.
    """
    records = finished_members(store) if records is None else records
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
    targets, unseen = store.targets(), out_of_bag(store, records)
    found = [
        predictors_of(store, records, origin, unseen=unseen if origin == "members" else None)
        for origin in ORIGINS
    ]
    return EvaluationInput(
        task=store.spec.task,
        classes=store.spec.classes,
        valid_targets=targets["valid_targets"] if len(targets["valid"]) else None,
        test_targets=targets["test_targets"],
        predictors=tuple(one for one in found if one is not None),
        averages=tuple(parameter_averages(store, records)),
        oob=unseen,
        seed=store.record.config.ensemble.seed,
    )


def selected(store: RunStore, records: list[MemberRecord]) -> Selection:
    """Greedy selection of the members, on those validation rows that serve it.

    Raises:
        UsageError: the run has no validation rows.
    """
    y = store.targets()["valid_targets"]
    members = predictors_of(store, records, "members")
    if members is None or members.valid is None:
        raise UsageError("combine greedy selects on validation rows, but this run has none (valid is 0)")
    rows, _ = split_holdout(len(y), seed=store.record.config.ensemble.seed)
    return greedy(members.valid, y, task=store.spec.task, rows=rows)


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
    say = store.averages.predictions if said is None else said
    for name in ("averaged", "unmatched", "greedy"):
        record = store.averages.get(name)
        if record is not None:
            chosen = tuple(member for member, _ in record.networks) if name == "greedy" else None
            yield ParameterAverage(
                "members", *gathered([say(record)], 1), chosen=chosen, matched=record.matched
            )
    if store.record.config.train.snapshots:
        found = [store.averages.get(f"snapshots-{record.index:03d}") for record in records]
        made = [average for average in found if average is not None]
        if made:
            yield ParameterAverage("snapshots", *gathered(map(say, made), len(made)))


def _members(store: RunStore, evaluation: Evaluation, records: list[MemberRecord]) -> list[dict[str, Any]]:
    ensemble = store.record.config.ensemble
    done = {record.index: (position, record) for position, record in enumerate(records)}
    rows = []
    for index in range(ensemble.members):
        seed = torch_seed(member_sequence(ensemble.seed, index, Purpose.INIT))
        row: dict[str, Any] = {"index": index, "seed": seed, "resample": ensemble.resample}
        if index in done:
            position, record = done[index]
            scores = evaluation.member_metrics[position]
            row |= {"status": "done", "attempts": record.attempts, "epochs": record.epochs}
            row |= {"seconds": record.seconds, "test": scores.test, "oob": scores.oob, "mixed": record.mixed}
        else:
            failure = store.failure(index)
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
