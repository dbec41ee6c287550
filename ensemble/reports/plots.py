"""The pictures of either task, each drawn from the dict of a ``report.json``; None where it holds nothing to draw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ensemble.reports.drawing import (
    FOURTH,
    GRID,
    HEIGHT,
    INK,
    MAIN,
    MUTED,
    OTHER,
    THIRD,
    Picture,
    apart,
    figure,
    picture,
    short,
    whole_numbers,
)
from ensemble.reports.heat_map import heat_map
from ensemble.reports.summary import NAMES, ORDER, Report, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = {"members": MAIN, "snapshots": OTHER, "heads": THIRD, "dropout": FOURTH, "averaged": MUTED}
MOST_DOTS = 200
"""Of more networks so many are drawn: the page stays small, and dots on dots tell nothing more."""
BETTER = {"accuracy": "higher", "coverage95": "nearer to 0.95"}


def size_curve(report: Report, metric: str) -> Picture | None:
    """A metric against the number of predictors, with its spread over subsets."""
    curves = {
        origin: points
        for origin, found in (report.get("size_curve") or {}).items()
        if len(points := [p for p in found if p.get(metric) is not None]) > 1
    }
    if not curves:
        return None
    said = NAMES[metric]
    with figure() as (drawn, (ax,)):
        ends = []
        for origin, points in curves.items():
            x = [point["predictors"] for point in points]
            y = [point[metric] for point in points]
            sd = [point["sd"][metric] or 0 for point in points]
            colour = LINES.get(origin, MUTED)
            low, high = ([a + sign * b for a, b in zip(y, sd, strict=True)] for sign in (-1, 1))
            ax.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
            ax.plot(x, y, color=colour, linewidth=1.6, marker="o", markersize=3 if len(x) < 30 else 0)
            ends.append((origin, x[-1], y[-1], colour))
        members = curves.get("members")
        if members:
            ax.axhline(members[0][metric], color=INK, linewidth=0.8, dashes=(4, 3), zorder=0)
            ax.annotate(
                f"one network {number(metric, members[0][metric])}",
                (1, members[0][metric]),
                xycoords=("axes fraction", "data"),
                xytext=(-2, 3 if metric != "accuracy" else -3),
                textcoords="offset points",
                ha="right",
                va="bottom" if metric != "accuracy" else "top",
                color=INK,
            )
        _label_ends(ax, ends, metric, alone=len(curves) == 1)
        ax.set_xlabel("networks combined" if len(curves) == 1 else "predictors combined")
        ax.set_ylabel(said)
        whole_numbers(ax.xaxis)
        better = BETTER.get(metric, "lower")
        return picture(
            drawn,
            f"size-{metric}",
            title=f"{said[0].upper()}{said[1:]} against the number of networks",
            sentence=f"Mean over subsets of each size, and their standard deviation as a band; {better} is better. "
            "Where the line has gone flat, more networks buy nothing.",
        )


def _label_ends(ax: Axes, ends: list[tuple[str, float, float, str]], metric: str, *, alone: bool) -> None:
    """Each line's name and last value to the right of it, moved apart where they would meet."""
    low, high = ax.get_ylim()
    heights = apart([end[2] for end in ends], (high - low) * 13 / (HEIGHT - 60))
    for (origin, x, y, colour), height in zip(ends, heights, strict=True):
        name = number(metric, y) if alone else f"{origin} {number(metric, y)}"
        ax.annotate(
            name,
            (x, y),
            xytext=(1.02, height),
            textcoords=("axes fraction", "data"),
            va="center",
            color=colour,
            annotation_clip=False,
        )


def contenders(report: Report) -> Picture | None:
    """Members and every combiner on one scale, with intervals."""
    metric = ORDER[report["task"]][0]
    members = [
        value
        for member in report.get("members") or []
        if (value := (member.get("test") or {}).get(metric)) is not None
    ]
    combined = [
        (name, found)
        for name, found in (report.get("combined") or {}).items()
        if found.get(metric) is not None
    ]
    if not combined:
        return None
    dots = evenly(sorted(members), MOST_DOTS)
    some = "" if len(dots) == len(members) else f" ({len(dots)} of {len(members):,}, evenly by rank)"
    sound = [one for _, one in combined if one.get("advised") is not False]
    span = members + [end for one in sound for end in one["ci95"][metric]] + [one[metric] for one in sound]
    room = (max(span) - min(span)) * 0.06 or abs(span[0]) * 0.01 or 0.01
    low, high = min(span) - room, max(span) + room
    with figure(height=70 + 24 * (len(combined) + 1)) as (drawn, (ax,)):
        ax.set_xlim(low, high)
        ax.plot(dots, [0] * len(dots), "o", color=OTHER, alpha=0.55, markersize=5, markeredgewidth=0)
        mean = sum(members) / len(members) if members else None
        if mean is not None:
            ax.axvline(mean, color=OTHER, linewidth=0.8, dashes=(4, 3), zorder=0)
        for place, (_, one) in enumerate(combined, start=1):
            value, (left, right) = one[metric], one["ci95"][metric]
            if not low <= value <= high:
                ax.annotate(
                    f"◂ {number(metric, value)}" if value < low else f"{number(metric, value)} ▸",
                    (0 if value < low else 1, place),
                    xycoords=("axes fraction", "data"),
                    xytext=(4 if value < low else -4, 0),
                    textcoords="offset points",
                    va="center",
                    ha="left" if value < low else "right",
                    color=MUTED,
                )
                continue
            ax.plot(
                [left, right], [place, place], color=MAIN, linewidth=1.4, alpha=0.6, solid_capstyle="butt"
            )
            ax.plot([value], [place], "o", color=MAIN, markersize=5.5)
        ax.set_yticks(
            range(len(combined) + 1),
            ["single networks", *(short(name, 28) for name, _ in combined)],
        )
        ax.invert_yaxis()
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.grid(axis="y", color=GRID, linewidth=0.7)
        ax.set_axisbelow(True)
        ax.set_xlabel(f"{NAMES[metric]} on test rows")
        return picture(
            drawn,
            "contenders",
            title="Single networks and ways of combining them",
            sentence=f"Each dot above is one network{some}, the dashed line their mean; below, every way of combining "
            f"with its 95% interval. {BETTER.get(metric, 'lower').capitalize()} is better. Bars that overlap do not "
            "settle a comparison: the paired tests below do.",
        )


def run_dots(found: dict[str, Any]) -> Picture:
    """Of a comparison: each run's mean network and its average, with the interval."""
    metric = ORDER[found["task"]][0]
    runs = found["runs"]
    with figure(height=64 + 28 * len(runs)) as (drawn, (ax,)):
        for place, run in enumerate(runs):
            average, single = run["combined"]["average"], (run["single"].get(metric) or {}).get("mean")
            ends = average["ci95"][metric]
            if single is not None:
                ax.plot([single], [place], "o", color=OTHER, alpha=0.7, markersize=5, markeredgewidth=0)
            ax.plot(ends, [place, place], color=MAIN, linewidth=1.4, alpha=0.6, solid_capstyle="butt")
            ax.plot([average[metric]], [place], "o", color=MAIN, markersize=5.5)
        ax.set_yticks(
            range(len(runs)),
            [short(f"{chr(65 + p) if p < 26 else p} {r['name']}", 24) for p, r in enumerate(runs)],
        )
        ax.set_ylim(len(runs) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.grid(axis="y", color=GRID, linewidth=0.7)
        ax.set_axisbelow(True)
        ax.set_xlabel(f"{NAMES[metric]} on the run's test rows")
        return picture(
            drawn,
            "runs",
            title="Single networks and ensembles",
            sentence="Of each run the mean single network (orange) and the average of all (blue) with its 95% "
            f"interval. {BETTER.get(metric, 'lower').capitalize()} is better.",
        )


def rejection(report: Report) -> Picture | None:
    """The figure on the rows that are kept, when the most uncertain are handed over."""
    found = _figures(report).get("rejection")
    if not found:
        return None
    metric = ORDER[report["task"]][0]
    shares = [100 * share for share in found["rejected"]]
    with figure() as (drawn, (ax,)):
        ax.plot(shares, found["average"], color=MAIN, linewidth=1.6)
        ends = [("ensemble", found["average"], MAIN)]
        if found.get("members") and len(report.get("members") or []) > 1:
            ax.plot(shares, found["members"], color=OTHER, linewidth=1.2)
            ends.append(("single network", found["members"], OTHER))
        ax.set_xlim(0, 100)
        rising = metric == "accuracy"
        at = len(shares) // 4
        places = sorted(range(len(ends)), key=lambda one: ends[one][1][at], reverse=True)
        for order, one in enumerate(places):
            name, values, colour = ends[one]
            above = order == 0
            ax.annotate(
                name,
                (shares[at], values[at]),
                xytext=((-4 if above else 6) if rising else (6 if above else -4), 6 if above else -6),
                textcoords="offset points",
                ha=("right" if above else "left") if rising else ("left" if above else "right"),
                va="bottom" if above else "top",
                color=colour,
            )
        ax.set_xlabel("most uncertain rows left to somebody else (%)")
        ax.set_ylabel(f"{NAMES[metric]} of the rest")
        tail = (
            "A line that climbs says that the ensemble knows where it errs."
            if rising
            else "A line that falls says that the ensemble knows where it errs."
        )
        return picture(
            drawn,
            "rejection",
            title="What it buys to hand over uncertain rows",
            sentence=f"The {NAMES[metric]} on the rows that remain when the most uncertain are set aside. {tail}",
        )


def disagreement(report: Report) -> Picture | None:
    """The table of pairs of members as a heat map."""
    table = ((report.get("diversity") or {}).get("members") or {}).get("pairwise")
    if not table or len(table) < 2:
        return None
    done = [m["index"] for m in report["members"] if m.get("status") == "done"]
    regression = report["task"] == "regression"
    if regression:
        table = [[value**0.5 for value in row] for row in table]
    greatest = max(max(row) for row in table) or 1
    return heat_map(
        "disagreement",
        table,
        names=[str(index) for index in done]
        if len(done) == len(table)
        else [str(i) for i in range(len(table))],
        shades=[[value / greatest for value in row] for row in table],
        text=(lambda v: f"{v:.3g}" if v < 1000 else f"{v:.0f}")
        if regression
        else (lambda v: f"{100 * v:.1f}"),
        axes=("network", "network"),
        title="How different the networks are",
        sentence=(
            "How far the predictions of each pair lie apart: the root of the mean squared difference"
            if regression
            else "Share of test rows (in %) on which each pair of networks names different classes"
        )
        + ". Only networks that err differently make a better ensemble: the darker, the more different.",
    )


def training(report: Report) -> Picture | None:
    """Loss, learning rate and the clipped share against epochs, a line a member."""
    curves = [one for one in report.get("training") or [] if one["epoch"]]
    if not curves:
        return None
    done = sum(member.get("status") == "done" for member in report.get("members") or [])
    some = f" ({len(curves)} of {done:,})" if done > len(curves) else ""
    clipped = any(value for one in curves for value in one["clipped"] if value is not None)
    ratios = (3.0, 1.1, 1.1) if clipped else (3.0, 1.1)
    with figure(height=330 if clipped else 280, rows=len(ratios), ratios=ratios) as (drawn, panels):
        _lines(panels[0], curves, "loss", color=OTHER)
        _lines(panels[0], curves, "valid_loss", color=MAIN)
        _lines(panels[1], curves, "lr", color=INK)
        if clipped:
            _lines(panels[2], curves, "clipped", color=INK, times=100)
        last = curves[0]["epoch"][-1]
        ends = [
            (name, values[-1], colour)
            for name, key, colour in (("training", "loss", OTHER), ("validation", "valid_loss", MAIN))
            if (values := [v for v in curves[0][key] if v is not None])
        ]
        low, high = panels[0].get_ylim()
        heights = apart([end[1] for end in ends], (high - low) * 0.1)
        for (name, value, colour), height in zip(ends, heights, strict=True):
            panels[0].annotate(
                name,
                (last, value),
                xytext=(1.02, height),
                textcoords=("axes fraction", "data"),
                va="center",
                color=colour,
                annotation_clip=False,
            )
        panels[0].set_ylabel("loss")
        panels[1].set_ylabel("rate")
        panels[1].set_ylim(bottom=0)
        if clipped:
            panels[2].set_ylabel("clipped %")
            panels[2].set_ylim(-4, 104)
        panels[-1].set_xlabel("epoch")
        whole_numbers(panels[-1].xaxis)
        drawn.align_ylabels()
        below = "the learning rate" + (
            ", and the share of steps whose gradient was clipped" if clipped else ""
        )
        return picture(
            drawn,
            "training",
            title="How the networks learned",
            sentence=f"One line a network{some}: the loss on training rows and on held-out validation rows; "
            f"below, {below}. "
            "A validation line that turns up while training falls means that the network learns by heart.",
        )


def evenly(values: list[float], most: int) -> list[float]:
    """At most so many of the values, evenly spaced, the first and the last among them."""
    if len(values) <= most:
        return values
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


def _lines(panel: Axes, curves: list[dict[str, Any]], name: str, *, color: str, times: float = 1) -> None:
    """A line a member against its epochs, or a dot where there is but one: one artist, since hundreds take a second."""
    from matplotlib.collections import LineCollection

    alpha = 0.9 if len(curves) < 8 else 0.35
    points = [[(epoch, times * value) for epoch, value in _points(one, name)] for one in curves]
    if all(len(line) == 1 for line in points):
        panel.plot(
            *zip(*(line[0] for line in points), strict=True), "o", color=color, alpha=alpha, markersize=4
        )
        return
    panel.add_collection(LineCollection(points, colors=color, linewidths=1.1, alpha=alpha))
    panel.autoscale_view()


def _points(curve: dict[str, Any], name: str) -> Iterator[tuple[float, float]]:
    """An epoch and its value; what has none is a gap in the line."""
    for epoch, value in zip(curve["epoch"], curve[name], strict=True):
        yield epoch, float("nan") if value is None else value


def _figures(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = report.get("figures") or {}
    return found
