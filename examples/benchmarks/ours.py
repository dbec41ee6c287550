"""This project, as the command that its users type, in a process of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from examples.benchmarks.cases import Case
from examples.benchmarks.outcome import Outcome


def command(case: Case, rows: Path, run: Path, *options: str) -> list[str]:
    """``ensemble train``, with no validation rows, which the others do not have either."""
    training: dict[str, object] = {
        "data": rows,
        "valid": 0,
        "members": case.members,
        "epochs": case.epochs,
        "batch-size": case.batch_size,
        "optimizer": "sgd",
        "lr": case.lr,
        "momentum": case.momentum,
        "weight-decay": 0,
        "schedule": "constant",
        "run": run,
    }
    written = [part for name, value in training.items() for part in (f"--{name}", str(value))]
    return [sys.executable, "-m", "ensemble.cli.main", "train", *written, *case.options, *options, "--quiet"]


def outcome(run: Path) -> Outcome:
    """From the run directory: its diary has the times, its report the accuracies.

    Training ends with the last epoch; what a worker predicts after its first member lies before that, and counts.
    """
    diary = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    begun = next(line["time"] for line in diary if line["event"] == "started")
    ended = max(line["time"] for line in diary if line["event"] == "epoch")
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    measures = {
        "member_accuracy": report["single"]["accuracy"]["mean"],
        "ensemble_accuracy": report["combined"]["average"]["accuracy"],
    }
    return Outcome(begun, ended, measures)
