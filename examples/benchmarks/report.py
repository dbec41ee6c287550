"""Figures of all rounds in, a table out. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from examples.benchmarks.cases import Case

Role = Literal["bound", "ours", "peer"]
LABELS = {
    "training_seconds": "training s",
    "whole_seconds": "with start s",
    "start_seconds": "to first step s",
    "ms_1_rows": "1 row ms",
    "ms_100_rows": "100 rows ms",
    "ms_10000_rows": "10,000 rows ms",
    "member_accuracy": "member",
    "ensemble_accuracy": "ensemble",
    "private_mb": "private MB",
}
"""Of every measure there is, in the order of the columns."""


@dataclass
class Series:
    """What one contender did in one case.

    Attributes:
        rounds: Measures by name, a dictionary a round.
        failed: The evidence, where a round failed; it had no further ones.
        skipped: Why it did not take part.
    """

    role: Role
    rounds: list[dict[str, float]] = field(default_factory=list)
    failed: str | None = None
    skipped: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Spread:
    """Of one measure over the rounds."""

    median: float
    low: float
    high: float


def spread(series: Series, measure: str) -> Spread | None:
    """Median, least and greatest; None where it was not measured."""
    values = [measures[measure] for measures in series.rounds if measure in measures]
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def baseline(case: Case, all_series: Mapping[str, Series], measure: str) -> float | None:
    """The median of the contender that stands for the bound."""
    series = all_series.get(case.baseline)
    there = spread(series, measure) if series else None
    return there.median if there else None


def best_peer(all_series: Mapping[str, Series], measure: str) -> float | None:
    """The least median among the peers."""
    there = [spread(series, measure) for series in all_series.values() if series.role == "peer"]
    return min((one.median for one in there if one), default=None)


def table(case: Case, all_series: Mapping[str, Series]) -> str:
    """A row a contender: medians [least–greatest] and, for what the case shows, ratios to bound and best peer."""
    ran = {name: series for name, series in all_series.items() if series.rounds}
    there = [label for label in LABELS if any(spread(series, label) for series in ran.values())]
    rows: list[list[str]] = [["", "n"], *([name, str(len(series.rounds))] for name, series in ran.items())]
    for measure in there:
        rows[0].append(LABELS[measure])
        spreads = [spread(series, measure) for series in ran.values()]
        for row, one in zip(rows[1:], spreads, strict=True):
            row.append(written(one, measure))
        references = {case.baseline: baseline(case, ran, measure), "best peer": best_peer(ran, measure)}
        for reference, value in references.items() if measure in case.shows else ():
            if value:
                rows[0].append(f"× {reference}")
                for row, one in zip(rows[1:], spreads, strict=True):
                    row.append(f"{one.median / value:.2f}" if one else "–")
    lines = [case.described, *_aligned(rows)]
    for name, series in all_series.items():
        lines += [f"{name}: left out, {series.skipped}"] if series.skipped else []
        lines += [f"{name}: FAILED, {series.failed}"] if series.failed else []
        lines += [f"{name}: {note}" for note in dict.fromkeys(series.notes)]
    return "\n".join(lines)


def written(one: Spread | None, measure: str) -> str:
    """``15.3 [15.1–17.4]``; accuracies with four digits, whole megabytes."""
    if one is None:
        return "–"
    digits = 4 if "accuracy" in measure else 0 if measure == "private_mb" else 2
    median, low, high = (f"{value:.{digits}f}" for value in (one.median, one.low, one.high))
    return median if low == high else f"{median} [{low}–{high}]"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
