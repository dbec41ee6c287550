"""What a report says, as a table of strings and a few sentences; the terminal, Markdown and HTML only dress
it.

Everything is read from the dict of a ``report.json``, so that it can be said again from the file. Sections
that are absent or null are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ensemble.reports.printable import printable

Report = dict[str, Any]

NAMES = {
    "accuracy": "accuracy",
    "nll": "NLL",
    "brier": "Brier",
    "ece": "ECE",
    "rmse": "RMSE",
    "mae": "MAE",
    "coverage95": "cover 95 %",
}
ORDER = {
    "classification": ("accuracy", "nll", "brier", "ece"),
    "regression": ("rmse", "mae", "nll", "coverage95"),
}
IN_UNITS = ("rmse", "mae")
"""In the target's own unit, so of any size: four digits that count instead of four decimals."""
MEMBERS_SHOWN = 20
"""With more members the table has their mean and the first few."""
FIRST_FEW = 5
FEW_TEST_ROWS = 100
NOTHING = "–"


@dataclass(frozen=True)
class Row:
    """A line of the table; ``kind`` is what a dress may distinguish."""

    kind: Literal["member", "mean", "spread", "combined", "remark"]
    name: str
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """``header`` names the first column and the metrics; each row but a remark has a cell for each metric."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]


def clean(text: object) -> str:
    """One line of text without control characters, so that a name stays in its place."""
    return " ".join(printable(str(text)).split())


def title(report: Report) -> str:
    """One line: what was learned from and how many rows judge it."""
    data = report.get("data") or {}
    rows = data.get("rows") or {}
    parts = [clean(data.get("source", "unknown data")), clean(report.get("task", ""))]
    if rows:
        parts.append(
            ", ".join(f"{rows[part]} {part}" for part in ("train", "valid", "test") if part in rows) + " rows"
        )
    return " · ".join(part for part in parts if part)


def table(report: Report) -> Table:
    """Members, their mean and spread, then every combiner, on the test rows."""
    metrics = ORDER[report["task"]]
    members = report.get("members") or []
    shown = members if len(members) <= MEMBERS_SHOWN else members[:FIRST_FEW]
    rows = [_member(member, metrics) for member in shown]
    if len(shown) < len(members):
        rows.append(Row("remark", f"{len(members) - len(shown)} more members are not shown"))
    single = report.get("single") or {}
    done = sum(member.get("status") == "done" for member in members)
    rows.append(Row("mean", f"mean of {_count(done, 'member')}", _of(single, metrics, "mean")))
    rows.append(Row("spread", "± sd over members", _of(single, metrics, "sd")))
    for name, found in (report.get("combined") or {}).items():
        rows.append(
            Row("combined", clean(name) + _mark(found), tuple(number(m, found.get(m)) for m in metrics))
        )
    return Table(("test rows", *(NAMES[metric] for metric in metrics)), tuple(rows))


def sentences(report: Report) -> list[str]:
    """What the table means: the gain with its interval, out of bag, diversity, calibration, cost."""
    said = (
        _shift,
        _gain,
        _best_single,
        _out_of_bag,
        _diversity,
        _uncertainty,
        _calibration,
        _equivalents,
        _cost,
    )
    return [sentence for say in said if (sentence := say(report))]


def warnings(report: Report) -> list[str]:
    """What should keep one from reading the table too readily."""
    return [*_failures(report), *_mixed(report), *_ill_advised(report), *_too_few_rows(report)]


def notes(report: Report) -> list[str]:
    """What was left out or decided on the way, as the evaluation and the data tell it."""
    data = report.get("data") or {}
    return [clean(note) for note in [*(report.get("notes") or []), *(data.get("notes") or [])]]


def number(metric: str, value: float | None) -> str:
    """A metric as it stands in a table, ``–`` where it has no meaning."""
    if value is None:
        return NOTHING
    return f"{value:.4g}" if metric in IN_UNITS else f"{value:.4f}"


def _member(member: dict[str, Any], metrics: tuple[str, ...]) -> Row:
    status = clean(member.get("status", ""))
    name = f"member {member.get('index')}" + ("" if status == "done" else f" ({status})")
    found = member.get("test") or {}
    return Row("member", clean(name), tuple(number(metric, found.get(metric)) for metric in metrics))


def _of(single: dict[str, Any], metrics: tuple[str, ...], what: str) -> tuple[str, ...]:
    return tuple(number(metric, (single.get(metric) or {}).get(what)) for metric in metrics)


def _mark(found: dict[str, Any]) -> str:
    return " (not advised)" if found.get("advised") is False else ""


def _shift(report: Report) -> str:
    """New rows against the run's own: the figures and what became of the confidence."""
    found = report.get("shift")
    if not found:
        return ""
    own, new = found["own"], found["new"]
    metrics = [metric for metric in ORDER[report["task"]] if metric in found["difference"]]
    changes = [
        f"{NAMES[m]} went from {number(m, own[m])} to {number(m, new[m])}, {signed(m, found['difference'][m])}"
        for m in metrics
    ]
    held = ""
    if own.get("conformal") and new.get("conformal"):
        held = (
            f" {own['conformal']['coverage']:.0%} conformal coverage went from "
            f"{own['conformal']['test_coverage']:.1%} to {new['conformal']['test_coverage']:.1%}."
        )
    return (
        f"Against the run's own {_count(own['rows'], 'test row')}: {'; '.join(changes)}.{held} A new row is more "
        f"uncertain than an own one with probability {found['more_uncertain']:.2f} (0.50: nothing tells them apart)."
    )


def _gain(report: Report) -> str:
    """Members → ensemble: the figures, and the paired interval of the difference."""
    metric = ORDER[report["task"]][0]
    mean = ((report.get("single") or {}).get(metric) or {}).get("mean")
    found = (report.get("combined") or {}).get("average") or {}
    if mean is None or found.get(metric) is None:
        return ""
    if _alone(report):
        return "There is one member alone, so there is nothing to combine."
    figures = f"{number(metric, mean)} (mean member) to {number(metric, found[metric])}"
    said = f"Averaging took {NAMES[metric]} from {figures}"
    limits = (found.get("ci95") or {}).get(metric)
    if limits:
        said += f" [{number(metric, limits[0])}, {number(metric, limits[1])}]"
    gain = _difference(report, "members", metric)
    if gain is None:
        return said + "."
    low, high = gain["ci95"]
    if low <= 0 <= high:
        tell = "; with these test rows that cannot be told from no difference"
    else:
        tell = ", better" if (high < 0) == (metric == "rmse") else ", worse"
    return f"{said}, a paired difference of {signed(metric, gain)}{tell}."


def _best_single(report: Report) -> str:
    metric = ORDER[report["task"]][0]
    test = next(
        (one for one in report.get("tests") or [] if str(one.get("b", "")).startswith("member ")), None
    )
    gain = _difference(report, str(test["b"]), metric) if test else None
    if test is None or gain is None or _alone(report):
        return ""
    chosen = "validation rows" if test.get("chosen_on") == "valid" else "the test rows, which favours it"
    p = "" if test.get("mcnemar_p") is None else f", McNemar p = {test['mcnemar_p']:.2g}"
    return f"Against {clean(test['b'])}, the best one by {chosen}: {signed(metric, gain)}{p}."


def _out_of_bag(report: Report) -> str:
    oob = report.get("oob")
    if not oob:
        return ""
    figures = ", ".join(
        f"{NAMES[metric]} {number(metric, oob[metric])}"
        for metric in ORDER[report["task"]]
        if oob.get(metric) is not None
    )
    covered = f"{oob['coverage']:.1%} of the training rows"
    return f"Out of bag, over {covered}: {figures}." if figures else f"Out of bag covers {covered}."


def _diversity(report: Report) -> str:
    found = (report.get("diversity") or {}).get("members") or {}
    if found.get("disagreement") is None:
        return ""
    share = "" if found.get("normalized") is None else f" ({found['normalized']:.2f} of their mean error)"
    if report["task"] == "regression":
        return f"Two members differ by {found['disagreement']:.4g} in the mean square{share}."
    return f"Two members disagree on {found['disagreement']:.1%} of the test rows{share}."


def _uncertainty(report: Report) -> str:
    found = (report.get("uncertainty") or {}).get("members") or {}
    if not found.get("total") or _alone(report):
        return ""
    unit = "variance" if report["task"] == "regression" else "entropy"
    share = found["epistemic"] / found["total"]
    return f"Of the predictive {unit}, {found['total']:.4g}, the members' disagreement makes up {share:.1%}."


def _calibration(report: Report) -> str:
    found = report.get("calibration")
    if not found:
        return ""
    conformal = found["conformal"]
    promise = f"{conformal['coverage']:.0%} conformal"
    held = f"cover {conformal['test_coverage']:.1%} of the test rows"
    if found.get("temperature") is None:
        width = conformal.get("mean_width")
        return f"{promise} intervals {held}" + ("." if width is None else f", {width:.4g} wide on average.")
    size = conformal["mean_set_size"]
    return (
        f"Temperature {found['temperature']:.2f}; {promise} sets {held} with {size:.2f} classes on average."
    )


def _equivalents(report: Report) -> str:
    found = []
    for name, one in (report.get("combined") or {}).items():
        equivalent = one.get("deep_ensemble_equivalent")
        if equivalent:
            relation = {"=": "", "<=": "at most ", ">=": "at least "}[equivalent["relation"]]
            found.append(f"{clean(name)} {relation}{equivalent['members']:.1f}")
    return f"Worth in independent members: {', '.join(found)}." if found else ""


def _cost(report: Report) -> str:
    cost = report.get("cost") or {}
    said = []
    if cost.get("wall_seconds") is not None:
        said.append(f"{duration(cost['wall_seconds'])} of wall time")
    if cost.get("member_seconds") is not None:
        said.append(f"{duration(cost['member_seconds'])} of training")
    if cost.get("parallel_efficiency") is not None:
        said.append(f"parallel efficiency {cost['parallel_efficiency']:.2f}")
    if cost.get("predict_seconds_per_1000_rows") is not None:
        said.append(f"{duration(cost['predict_seconds_per_1000_rows'])} to predict 1,000 rows")
    if cost.get("parameters") is not None:
        said.append(f"{cost['parameters']:,} parameters")
    return f"Cost: {', '.join(said)}." if said else ""


def _failures(report: Report) -> list[str]:
    members = report.get("members") or []
    lost = [member for member in members if member.get("status") not in ("done", None)]
    if not lost:
        return []
    return [f"{len(lost)} of {_count(len(members), 'member')} failed; no figure includes {_named(lost)}."]


def _mixed(report: Report) -> list[str]:
    found = [member for member in report.get("members") or [] if member.get("mixed")]
    if not found:
        return []
    return [f"Trained under more than one hardware, number of threads or version (mixed): {_named(found)}."]


def _named(members: list[dict[str, Any]]) -> str:
    """The first ten by index, with what became of those that are not done."""
    states = [(clean(one.get("index")), clean(one.get("status", "done"))) for one in members[:10]]
    named = ", ".join(
        f"member {index}" + (f" ({state})" if state != "done" else "") for index, state in states
    )
    return named + (f" and {len(members) - 10} more" if len(members) > 10 else "")


def _ill_advised(report: Report) -> list[str]:
    said = []
    worse = {
        "classification": "its validation accuracy is more than one point below the mean member's",
        "regression": "its validation RMSE is more than 5 % above the mean member's",
    }
    for name, found in (report.get("combined") or {}).items():
        if found.get("advised") is False:
            barrier = found.get("barrier")
            why = "its predictions are not finite"
            if barrier is not None:
                why = f"{worse[report['task']]} (loss barrier {barrier:.3g})"
            said.append(f"{clean(name)} is not advised: {why}.")
    return said


def _too_few_rows(report: Report) -> list[str]:
    rows = ((report.get("data") or {}).get("rows") or {}).get("test")
    if rows is None or rows >= FEW_TEST_ROWS:
        return []
    return [f"{_count(rows, 'test row')} can tell only coarse differences; read the intervals."]


def _alone(report: Report) -> bool:
    return len([member for member in report.get("members") or [] if member.get("status") == "done"]) == 1


def _difference(report: Report, other: str, metric: str) -> dict[str, Any] | None:
    for test in report.get("tests") or []:
        if test.get("a") == "average" and test.get("b") == other:
            found: dict[str, Any] | None = (test.get("difference") or {}).get(metric)
            return found
    return None


def signed(metric: str, gain: dict[str, Any]) -> str:
    """A difference and its interval: ``+0.0123 [+0.0040, +0.0200]``."""
    form = "+.4g" if metric in IN_UNITS else "+.4f"
    low, high = gain["ci95"]
    return f"{gain['value']:{form}} [{low:{form}}, {high:{form}}]"


def p_value(p: float | None) -> str:
    """Two digits that count; what is less than a double holds is not said to be zero."""
    if p is None:
        return NOTHING
    return f"{p:.2g}" if p >= 1e-99 else "< 1e-99"


def duration(value: float) -> str:
    """Seconds, minutes or hours, as people say them."""
    if value >= 90:
        return f"{value / 60:.1f} min" if value < 5400 else f"{value / 3600:.1f} h"
    return f"{value:.3g} s"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
