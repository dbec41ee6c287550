"""Runs side by side: their figures as reported, and paired tests where they were judged on the same rows."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from ensemble.combining.predictions import combine
from ensemble.errors import UsageError
from ensemble.evaluation.intervals import compare
from ensemble.evaluation.metrics import Scores, score
from ensemble.runs.reporting import evaluation_input
from ensemble.runs.store import RunStore


def compare_runs(stores: list[RunStore]) -> dict[str, Any]:
    """Their reports and, for each pair, the paired test of their averages.

    Only what a report counts is compared: members that joined after it was written are left out.

    Returns:
        ``{"schema", "task", "runs", "tests", "unpaired", "differing"}``: of each run its directory and the report's
        sections; of each pair ``{"a", "b"}`` (places in ``runs``) and `ensemble.evaluation.intervals.paired_test`, or
        ``why`` there can be none; and the configuration keys whose values differ, with the value of each run.

    Raises:
        UsageError: fewer than two runs, or different tasks, which share no metric.
        RunError: a run without a report, or a damaged file.
    """
    if len(stores) < 2:
        raise UsageError(f"compare needs two runs or more, not {len(stores)}")
    tasks = {store.spec.task for store in stores}
    if len(tasks) > 1:
        named = ", ".join(f"{str(store.root)!r} is {store.spec.task}" for store in stores)
        raise UsageError(f"runs of different tasks share no figure: {named}")
    reports = [store.report() for store in stores]
    scores: dict[int, Scores] = {}
    tests, unpaired = [], []
    for a, b in combinations(range(len(stores)), 2):
        why = _not_the_same_rows(stores[a], stores[b])
        if why:
            unpaired.append({"a": a, "b": b, "why": why})
            continue
        for place in (a, b):
            if place not in scores:
                scores[place] = _average_scores(stores[place], reports[place])
        tests.append({"a": a, "b": b, **compare(scores[a], scores[b], seed=0)})
    return {
        "schema": 1,
        "task": stores[0].spec.task,
        "runs": [_run(store, report) for store, report in zip(stores, reports, strict=True)],
        "tests": tests,
        "unpaired": unpaired,
        "differing": _differing(stores),
    }


def _not_the_same_rows(a: RunStore, b: RunStore) -> str:
    """Why two runs cannot be compared row by row; empty where they can."""
    if a.spec.sha256 == b.spec.sha256 or (a.spec.test_sha256 and a.spec.test_sha256 == b.spec.test_sha256):
        return ""
    if not (a.spec.test_sha256 and b.spec.test_sha256):
        return "an earlier version made one of them and kept no digest of its test rows"
    if a.spec.classes != b.spec.classes:
        return "their classes differ"
    return "their test rows differ (SHA-256 of rows and targets)"


def _average_scores(store: RunStore, report: dict[str, Any]) -> Scores:
    counted = [member["index"] for member in report["members"] if member["status"] == "done"]
    records = [record for index in counted if (record := store.member(index)) is not None]
    given = evaluation_input(store, records)
    return score(combine(given.members.test, task=given.task), given.test_targets, task=given.task)


def _run(store: RunStore, report: dict[str, Any]) -> dict[str, Any]:
    kept = ("name", "data", "members", "single", "combined", "calibration", "cost")
    return {"run": str(store.root), **{key: report.get(key) for key in kept}}


def _differing(stores: list[RunStore]) -> dict[str, list[Any]]:
    """Of the data, network, training and ensemble sections; where a run was trained changes no result."""
    configs = [store.record.config for store in stores]
    elsewhere = set(configs[0].execution.model_dump())
    flat = [config.flat() for config in configs]
    return {
        key: [one[key] for one in flat]
        for key in flat[0]
        if key not in elsewhere and any(one[key] != flat[0][key] for one in flat)
    }
