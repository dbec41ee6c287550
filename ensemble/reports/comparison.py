"""Runs side by side, as tables of strings and sentences; the terminal and the page only dress them."""

from __future__ import annotations

from typing import Any

from ensemble.reports.summary import (
    IN_UNITS,
    NAMES,
    NOTHING,
    ORDER,
    Row,
    clean,
    duration,
    number,
    p_value,
    signed,
)
from ensemble.reports.tables import PageTable

Comparison = dict[str, Any]


def labels(found: Comparison) -> list[str]:
    """A letter and the run's name: names may be alike."""
    return [f"{_letter(place)} {clean(run['name'])}" for place, run in enumerate(found["runs"])]


def side_by_side(found: Comparison, *, intervals: bool) -> PageTable:
    """A line a run: members, the mean member's and the average's figures, and the cost.

    A terminal of 80 columns has no room for ``intervals``.
    """
    metrics = ORDER[found["task"]]
    first = metrics[0]
    rows = []
    for label, run in zip(labels(found), found["runs"], strict=True):
        average = run["combined"]["average"]
        done = sum(member["status"] == "done" for member in run["members"])
        single = (run["single"].get(first) or {}).get("mean")
        limits = (average.get("ci95") or {}).get(first)
        interval = f"[{number(first, limits[0])}, {number(first, limits[1])}]" if limits else NOTHING
        seconds = (run.get("cost") or {}).get("member_seconds")
        cells = (
            str(done),
            number(first, single),
            number(first, average.get(first)),
            *([interval] if intervals else []),
            *(number(metric, average.get(metric)) for metric in metrics[1:]),
            NOTHING if seconds is None else duration(seconds),
        )
        rows.append(Row("combined", label, cells))
    header = (
        "run",
        "networks",
        "one",
        NAMES[first],
        *(["95% interval"] if intervals else []),
        *(NAMES[metric] for metric in metrics[1:]),
        "training",
    )
    caption = f"The average of each run on its test rows; “one” is the mean single network's {NAMES[first]}."
    return PageTable(caption, header, tuple(rows))


def paired(found: Comparison) -> PageTable | None:
    """The paired test of each pair on the same rows."""
    if not found["tests"]:
        return None
    rows = []
    for test in found["tests"]:
        pair = f"{_letter(test['a'])} − {_letter(test['b'])}"
        for metric in ORDER[found["task"]]:
            if metric in test["difference"]:
                p = test["mcnemar_p"] if metric == "accuracy" else None
                cells = (
                    NAMES[metric],
                    signed(metric, test["difference"][metric]),
                    "" if p is None else p_value(p),
                )
                rows.append(Row("combined", pair, cells))
    caption = "Paired tests on the same test rows, with 95% intervals: one that includes 0 cannot tell the two apart."
    return PageTable(caption, ("", "", "difference", "McNemar p"), tuple(rows))


def settings(found: Comparison) -> PageTable | None:
    """What the runs were asked for differently."""
    if not found["differing"]:
        return None
    rows = [
        Row(
            "combined",
            key.replace("_", "-"),
            tuple(NOTHING if v is None else clean(_listed(v)) for v in values),
        )
        for key, values in found["differing"].items()
    ]
    header = ("setting", *(_letter(place) for place in range(len(found["runs"]))))
    return PageTable("What was asked for differently.", header, tuple(rows))


def verdicts(found: Comparison) -> list[str]:
    """What each paired test settles, and which pairs cannot be tested."""
    metric = ORDER[found["task"]][0]
    said = []
    for test in found["tests"]:
        gain = test["difference"][metric]
        a, b = _letter(test["a"]), _letter(test["b"])
        low, high = gain["ci95"]
        if low <= 0 <= high:
            said.append(
                f"These test rows cannot tell {a} and {b} apart by {NAMES[metric]}: {signed(metric, gain)}."
            )
            continue
        better, worse = (a, b) if (gain["value"] < 0) == (metric in IN_UNITS) else (b, a)
        said.append(
            f"{better} is better than {worse} by {NAMES[metric]}: {a} − {b} is {signed(metric, gain)}."
        )
    if len(found["tests"]) > 1:
        said.append(
            f"{len(found['tests'])} pairs were tested; neither intervals nor p are corrected for that."
        )
    said += [
        f"{_letter(one['a'])} and {_letter(one['b'])} are not paired: {clean(one['why'])}."
        for one in found["unpaired"]
    ]
    return said


def _letter(place: int) -> str:
    """A, B, … Z, then AA, AB, …"""
    name = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        name = chr(65 + rest) + name
    return name


def _listed(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
