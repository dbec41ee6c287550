"""The figure: for each case what it shows, a bar a contender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from examples.benchmarks.cases import Case
from examples.benchmarks.report import LABELS, Series, spread

COLORS = {"bound": "0.6", "ours": "C0", "peer": "C1"}
LEGEND = {
    "bound": "what it is measured against",
    "ours": "ensemble-trainer",
    "peer": "what a user would pick instead",
}
INCHES_A_BAR = 0.27


def draw(results: Sequence[tuple[Case, Mapping[str, Series]]], path: Path) -> None:
    """Bars are medians, lines go from the least to the greatest value."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown = [(case, {name: s for name, s in found.items() if s.rounds}) for case, found in results]
    shown = [(case, found) for case, found in shown if found]
    columns = max(len(case.shows) for case, _ in shown)
    heights = [INCHES_A_BAR * len(found) + 0.8 for _, found in shown]
    figure = Figure(figsize=(1.8 + 4 * columns, sum(heights) + 0.4), layout="constrained")
    grid = figure.subplots(len(shown), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for (case, found), cells in zip(shown, grid, strict=True):
        for column, axes in enumerate(cells):
            if column < len(case.shows):
                _bars(axes, found, case.shows[column], names=column == 0)
            else:
                axes.set_axis_off()
        cells[0].set_title(case.name, loc="left", fontweight="bold", fontsize=10)
    roles = {series.role for _, found in shown for series in found.values()}
    keys = [Patch(color=COLORS[role], label=LEGEND[role]) for role in COLORS if role in roles]
    figure.legend(handles=keys, loc="outside upper center", ncols=len(keys), frameon=False)
    figure.savefig(path)


def _bars(axes, found: Mapping[str, Series], measure: str, *, names: bool) -> None:  # type: ignore[no-untyped-def]
    greatest = 0.0
    for place, series in enumerate(reversed(list(found.values()))):
        one = spread(series, measure)
        if one is None:
            continue
        greatest = max(greatest, one.high)
        reach = [[one.median - one.low], [one.high - one.median]]
        axes.barh(place, one.median, color=COLORS[series.role], xerr=reach, error_kw={"lw": 1, "capsize": 2})
        axes.annotate(
            f"{one.median:.3g}",
            (one.high, place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(found)), list(found)[::-1] if names else [""] * len(found), fontsize=8)
    axes.set_xlim(0, 1.15 * greatest or None)
    axes.set_xlabel(LABELS[measure], fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
