"""The tables of the page, as strings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ensemble.reports.overview import MINUS
from ensemble.reports.summary import (
    MEMBERS_SHOWN,
    NAMES,
    NOTHING,
    ORDER,
    Report,
    Row,
    clean,
    number,
    p_value,
    signed,
    table,
)

METRIC_OF_ONE = ("accuracy", "rmse")
MOST_CLASSES = 200
"""With more classes only those that are found least often are listed."""
MOST_MEMBERS = 200
"""Of more members than these the table has those that stand out, and the page stays small."""
ENDS = 50


@dataclass(frozen=True)
class PageTable:
    """A table with a sentence above it; a long one is folded away under ``folded``."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    folded: str = ""


def results_table(report: Report) -> PageTable:
    """Members, their mean and every combiner, whose first metric has its interval."""
    content = table(report)
    metric = ORDER[report["task"]][0]
    combined = report.get("combined") or {}
    limits = iter([(one.get("ci95") or {}).get(metric) for one in combined.values()])
    rows = []
    for row in content.rows:
        interval = next(limits) if row.kind == "combined" else None
        cells = row.cells and (row.cells[0], _range(metric, interval), *row.cells[1:])
        rows.append(Row(row.kind, row.name, cells))
    header = (content.header[0], content.header[1], "95% interval", *content.header[2:])
    return PageTable("Every network and every way of combining, on the same test rows.", header, tuple(rows))


def tests_table(report: Report) -> PageTable | None:
    """The average against every other, on the same rows."""
    tests = report.get("tests") or []
    if not tests or sum(m.get("status") == "done" for m in report.get("members") or []) < 2:
        return None
    metrics = ORDER[report["task"]][:3]
    with_p = report["task"] == "classification"
    rows = [Row("combined", _other(test), _test_cells(test, metrics, with_p=with_p)) for test in tests]
    header = ("average minus …", *(NAMES[metric] for metric in metrics), *(["McNemar p"] if with_p else []))
    caption = (
        "Paired tests: the average minus each of these, on the same rows, with 95% intervals. An interval that "
        "includes 0 cannot tell the two apart."
    )
    return PageTable(caption, header, tuple(rows))


def _other(test: dict[str, Any]) -> str:
    if test["b"] == "members":
        return "the mean network"
    return clean(test["b"]) + (" (the best one)" if str(test["b"]).startswith("member ") else "")


def _test_cells(test: dict[str, Any], metrics: tuple[str, ...], *, with_p: bool) -> tuple[str, ...]:
    cells = [
        signed(m, found).replace("-", MINUS) if (found := test["difference"].get(m)) else NOTHING
        for m in metrics
    ]
    p = test.get("mcnemar_p")
    return (*cells, *([p_value(p)] if with_p else []))


def class_table(report: Report) -> PageTable | None:
    """How well each class is found."""
    found = (report.get("figures") or {}).get("per_class")
    if not found:
        return None
    named = list(zip([clean(name) for name in report["data"]["classes"]], found, strict=True))
    caption = "Each class: how many of its rows are found, and how many of those taken for it are of it."
    if len(named) > MOST_CLASSES:
        named = sorted(named, key=lambda one: 2.0 if one[1]["recall"] is None else one[1]["recall"])[
            :MOST_CLASSES
        ]
        caption += f" Of {len(found):,} classes, the {MOST_CLASSES} found least often."
    rows = []
    for name, one in named:
        limits = one["recall_ci95"]
        interval = NOTHING if limits is None else f"[{limits[0]:.3f}, {limits[1]:.3f}]"
        cells = (_share(one["recall"]), interval, _share(one["precision"]), _share(one["f1"]))
        rows.append(Row("combined", name, (f"{one['rows']:,}", *cells)))
    header = ("class", "test rows", "found", "95% interval", "precision", "F1")
    return PageTable(caption, header, tuple(rows))


def _range(metric: str, limits: list[float] | None) -> str:
    if not limits:
        return ""
    return f"[{number(metric, limits[0])}, {number(metric, limits[1])}]"


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def decomposition_table(report: Report) -> PageTable | None:
    """Uncertainty and bias and variance, by origin of the predictors."""
    found = report.get("uncertainty") or {}
    if not found:
        return None
    classification = report["task"] == "classification"
    header = (
        "predictors",
        "total",
        "in the data",
        "in the networks",
        "variance V̂",
        "V̂ with M − 1",
        *(("bias", "variance", "helpful") if classification else ("squared error", "of the mean")),
    )
    rows = []
    for origin, one in found.items():
        cells = [
            _four(one.get(k)) for k in ("total", "aleatoric", "epistemic", "variance", "variance_unbiased")
        ]
        losses = one["zero_one_loss" if classification else "squared_loss"]
        keys = ("bias", "variance", "variance_helpful") if classification else ("error", "bias")
        rows.append(Row("combined", clean(origin), (*cells, *(_four(losses.get(key)) for key in keys))))
    unit = "Entropies in nats" if classification else "Variances in squared units of the target"
    tail = (
        "; bias and variance of the 0–1 loss: error = bias + variance − helpful."
        if classification
        else "; squared error of the networks = that of their mean + V̂."
    )
    return PageTable(
        f"{unit}, means over the test rows: total = in the data + in the networks{tail}", header, tuple(rows)
    )


def _four(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4g}"


def member_table(report: Report) -> PageTable:
    """Attempts, epochs, seconds and out-of-bag figures of each member; of very many those that stand out."""
    metric = ORDER[report["task"]][0]
    members = report.get("members") or []
    resampled = any(one.get("oob") for one in members)
    shown = members if len(members) <= MOST_MEMBERS else _outstanding(members, metric)
    rows = []
    for one in shown:
        cells = [str(one.get("attempts", NOTHING)), str(one.get("epochs", NOTHING))]
        cells.append(NOTHING if one.get("seconds") is None else f"{one['seconds']:.1f}")
        cells.append(number(metric, (one.get("test") or {}).get(metric)))
        if resampled:
            cells.append(number(metric, (one.get("oob") or {}).get(metric)))
        status = "" if one.get("status") == "done" else f" ({clean(one.get('status'))})"
        mixed = ", mixed hardware or versions" if one.get("mixed") else ""
        rows.append(Row("combined", f"network {one['index']}{status}{mixed}", tuple(cells)))
    header = ("", "attempts", "epochs", "seconds", NAMES[metric], *(["out of bag"] if resampled else []))
    if len(shown) == len(members):
        return PageTable(
            "", header, tuple(rows), f"All {len(rows)} networks" if len(rows) > MEMBERS_SHOWN else ""
        )
    caption = (
        f"Of {len(members):,} networks those that failed or are mixed, the {ENDS} best and the {ENDS} worst by "
        f"{NAMES[metric]}, {MOST_MEMBERS} at most. All of them: report.json."
    )
    return PageTable(caption, header, tuple(rows), f"{len(rows)} of {len(members):,} networks")


def _outstanding(members: list[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    odd = [one for one in members if one.get("status") != "done" or one.get("mixed")]
    judged = [one for one in members if (one.get("test") or {}).get(metric) is not None]
    judged.sort(key=lambda one: float(one["test"][metric]), reverse=metric == "accuracy")
    chosen = [*odd[: MOST_MEMBERS - 2 * ENDS], *judged[:ENDS], *judged[-ENDS:]]
    return list({one["index"]: one for one in chosen}.values())


def shift_table(report: Report) -> PageTable | None:
    """The new rows beside the run's own."""
    found = report.get("shift")
    if not found:
        return None
    own, new = found["own"], found["new"]
    rows = [
        Row(
            "combined",
            NAMES[m],
            (_with(m, own), _with(m, new), signed(m, found["difference"][m]).replace("-", MINUS)),
        )
        for m in ORDER[report["task"]]
        if m in found["difference"]
    ]
    both = (own, new)
    more = [
        ("mean network's " + NAMES[m], [number(m, side["members"].get(m)) for side in both])
        for m in METRIC_OF_ONE
    ]
    more = [one for one in more if set(one[1]) != {NOTHING}]
    if own.get("calibrated") and new.get("calibrated"):
        more.append(("ECE after calibration", [number("ece", side["calibrated"]["ece"]) for side in both]))
    if own.get("conformal") and new.get("conformal"):
        name = f"held by {own['conformal']['coverage']:.0%} conformal sets"
        more.append((name, [f"{side['conformal']['test_coverage']:.1%}" for side in both]))
    more.append(("uncertainty, total", [_four(side["total"]) for side in both]))
    more.append(("of it, from the networks", [_four(side["epistemic"]) for side in both]))
    rows += [Row("combined", name, (*cells, "")) for name, cells in more]
    caption = (
        "The average of the networks on the run's own test rows and on these, with 95% intervals. The rows are "
        "different ones, so the difference is not paired. A new row is more uncertain than an own one with probability "
        f"{found['more_uncertain']:.2f}; 0.50 would mean that nothing tells them apart."
    )
    header = ("", f"own {own['rows']:,} rows", f"these {new['rows']:,} rows", "difference")
    return PageTable(caption, header, tuple(rows))


def _with(metric: str, side: dict[str, Any]) -> str:
    return f"{number(metric, side[metric])} {_range(metric, side['ci95'].get(metric))}"
