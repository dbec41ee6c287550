"""The pictures that one task alone has: of classes, and of numbers."""

from __future__ import annotations

from typing import Any

from ensemble.reports.drawing import GRID, INK, MAIN, MUTED, Picture, figure, picture
from ensemble.reports.heat_map import heat_map
from ensemble.reports.summary import Report, clean

RELIABILITY = {
    "average": (
        "Confidence against accuracy, as it is",
        "Rows grouped by how sure the ensemble is: where it says 80%, it should be right on 80%. Dots below the "
        "diagonal are overconfident, above it too modest; bars are 95% intervals, and the grey columns say how many "
        "rows are in each group.",
    ),
    "calibrated": (
        "The same after one temperature",
        "One number fitted on validation rows, applied to every probability: it moves confidence and leaves every "
        "answer as it was. Nearer to the diagonal is better.",
    ),
}


def reliability(report: Report, which: str) -> Picture | None:
    """Accuracy against confidence by bin; ``which`` is ``average`` or ``calibrated``."""
    bins = (_figures(report).get("reliability") or {}).get(which)
    if not bins:
        return None
    title, sentence = RELIABILITY[which]
    rows = sum(one["rows"] for one in bins)
    error = sum(one["rows"] * abs(one["accuracy"] - one["confidence"]) for one in bins) / rows
    with figure(width=330, height=310) as (drawn, (ax,)):
        for one in bins:
            share = one["rows"] / rows
            ax.bar(
                100 * (one["low"] + one["high"]) / 2,
                100 * share,
                width=100 * (one["high"] - one["low"]) - 0.6,
                color=GRID,
                zorder=0,
            )
        ax.plot([0, 100], [0, 100], color=MUTED, linewidth=0.8, dashes=(4, 3), zorder=1)
        for one in bins:
            x = 100 * one["confidence"]
            ax.plot([x, x], [100 * end for end in one["ci95"]], color=MAIN, linewidth=1.2, alpha=0.6)
            ax.plot([x], [100 * one["accuracy"]], "o", color=MAIN, markersize=5)
        ax.text(3, 97, f"ECE {error:.4f}", va="top", color=INK)
        ax.set_xlim(0, 101)
        ax.set_ylim(0, 101)
        ax.set_xlabel("how sure it is (%)")
        ax.set_ylabel("how often it is right (%)")
        return picture(drawn, f"reliability-{which}", title=title, sentence=sentence)


def confusion(report: Report) -> Picture | None:
    """Which classes are taken for which."""
    matrix = _figures(report).get("confusion")
    if not matrix:
        return None
    shares = [[value / (sum(row) or 1) for value in row] for row in matrix]
    worst = max((s for i, row in enumerate(shares) for j, s in enumerate(row) if i != j), default=0) or 1
    return heat_map(
        "confusion",
        matrix,
        names=[clean(name) for name in report["data"]["classes"]],
        shades=[
            [0.28 * s if i == j else min(1, s / max(worst, 0.05)) for j, s in enumerate(row)]
            for i, row in enumerate(shares)
        ],
        text=lambda value: str(value) if value else "",
        axes=("true class", "predicted class"),
        title="Which classes are taken for which",
        sentence="Each line is a true class, each column what the ensemble made of it, in test rows. Right answers "
        "lie on the diagonal; the stronger the colour off it, the larger that share of the class's rows.",
        errors=True,
    )


def points(report: Report) -> Picture | None:
    """Predicted against true, with intervals."""
    found = _figures(report).get("points")
    if not found:
        return None
    shown = len(found)
    rows = report["data"]["rows"]["test"]
    with figure(width=430, height=360) as (drawn, (ax,)):
        alpha = 0.35 if shown < 150 else 0.18
        for true, _, low, high in found:
            if low is not None:
                ax.plot([true, true], [low, high], color=MAIN, linewidth=0.9, alpha=alpha)
        ax.plot([p[0] for p in found], [p[1] for p in found], "o", color=MAIN, markersize=2.6, alpha=0.85)
        ends = [min(p[0] for p in found), max(p[0] for p in found)]
        ax.plot(ends, ends, color=INK, linewidth=0.9, dashes=(4, 3), zorder=0)
        ax.set_xlabel("true value")
        ax.set_ylabel("predicted")
        said = "Each dot is a test row" + (
            "" if shown == rows else f" ({shown} of {rows:,}, evenly over the targets)"
        )
        bars = ", its bar the 95% interval that the ensemble gives" if found[0][2] is not None else ""
        tail = "; about 95 in 100 bars should reach the dashed line" if bars else ""
        return picture(
            drawn,
            "points",
            title="Predicted against true",
            sentence=f"{said}{bars}. On the dashed line a prediction is exactly right{tail}.",
        )


def coverage(report: Report) -> Picture | None:
    """Achieved against nominal coverage of the predicted intervals."""
    found = _figures(report).get("coverage")
    if not found:
        return None
    with figure(width=330, height=310) as (drawn, (ax,)):
        ax.plot([0, 100], [0, 100], color=MUTED, linewidth=0.8, dashes=(4, 3))
        x = [100 * one["nominal"] for one in found]
        low, high = ([100 * one["ci95"][end] for one in found] for end in (0, 1))
        ax.fill_between(x, low, high, color=MAIN, alpha=0.16, linewidth=0)
        ax.plot(x, [100 * one["achieved"] for one in found], color=MAIN, linewidth=1.6)
        ax.text(62, 45, "intervals too narrow", color=MUTED, va="top", fontsize=9.5)
        ax.text(3, 92, "intervals too wide", color=MUTED, va="top", fontsize=9.5)
        ax.set_xlim(0, 100)
        ax.set_ylim(0, 100)
        ax.set_xlabel("promised coverage (%)")
        ax.set_ylabel("achieved coverage (%)")
        return picture(
            drawn,
            "coverage",
            title="Do the intervals hold what they promise?",
            sentence="For each promised share, how many test rows really lie inside the predicted interval, with a "
            "95% band. On the dashed line promise and truth agree.",
        )


def _figures(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = report.get("figures") or {}
    return found
