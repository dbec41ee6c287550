"""Reports as a run would write them, made by the evaluation itself."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

from ensemble.evaluation.evaluate import EvaluationInput, evaluate
from tests.evaluation.scenarios import everything, regression


def report(given: EvaluationInput, *, failed: tuple[int, ...] = (), source: str = "digits") -> dict[str, Any]:
    """The document of a finished run; members of ``failed`` come after those that were evaluated."""
    found = evaluate(given)
    row = {"seed": 0, "resample": "none", "attempts": 1, "epochs": 10, "seconds": 6.2}
    done = [
        {**row, "index": one.member, "status": "done", "test": one.test, "oob": one.oob}
        for one in found.member_metrics
    ]
    lost = [{**row, "index": index, "status": "failed", "test": None, "oob": None} for index in failed]
    return {
        "schema": 1,
        "task": given.task,
        "data": {
            "source": source,
            "rows": {"train": 1293, "valid": given.valid_rows, "test": len(given.test_targets)},
            "classes": list(given.classes),
            "shape": [64],
            "sha256": "0" * 64,
        },
        "members": done + lost,
        **found.as_json(),
        "cost": {
            "wall_seconds": 34.21,
            "member_seconds": 62.1,
            "parallel_efficiency": 0.907,
            "predict_seconds_per_1000_rows": 0.0123,
            "parameters": 61706,
        },
        "environment": {"versions": {}, "hardware": [], "threads": [1], "precision": ["float32"], "stack": 1},
    }


def full_report(*, test: int = 80) -> dict[str, Any]:
    """A classification with every origin and a failed member; a copy, which a test may change."""
    return deepcopy(_full_report(test))


def regression_report(*, test: int = 80) -> dict[str, Any]:
    """A regression with validation rows; a copy, which a test may change."""
    return deepcopy(_regression_report(test))


@cache
def _full_report(test: int) -> dict[str, Any]:
    return report(everything(test=test), failed=(5,))


@cache
def _regression_report(test: int) -> dict[str, Any]:
    return report(regression(test=test), source="diabetes")
