"""The first screen of the page: what was learned from what, and what the ensemble is worth, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ensemble.reports.summary import ORDER, Report, clean, duration, number

MINUS = "−"
FEW = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)


@dataclass(frozen=True)
class Headline:
    """A figure in large type: what it is of, the figure, its range, and a remark."""

    label: str
    figure: str
    range: str
    kind: str


def lead(report: Report) -> str:
    """What was trained on what, and what judges it."""
    data, config = report.get("data") or {}, report.get("config") or {}
    rows = data.get("rows") or {}
    done = _done(report)
    networks = f"{_words(done)} neural network{'' if done == 1 else 's'}"
    kind = f" ({clean(config['net'])})" if config.get("net") else ""
    classes = len(data.get("classes") or ())
    goal = (
        f"to tell {classes:,} classes apart" if report["task"] == "classification" else "to predict a number"
    )
    learned = f" from {rows['train']:,} examples" if rows.get("train") else ""
    said = f"{networks}{kind} learned {goal}{learned}."
    if rows.get("test"):
        count = rows["test"]
        judged = "1 test row" if count == 1 else f"{count:,} test rows"
        said += f" Everything below was measured on {judged}"
        shifted = report.get("shift")
        own = f", set beside the {shifted['own']['rows']:,} of the run itself." if shifted else ""
        said += own or " that no network had seen."
    return said[0].upper() + said[1:]


def headlines(report: Report) -> list[Headline]:
    """A single network, the ensemble, and the difference, each with its interval."""
    metric = ORDER[report["task"]][0]
    single = (report.get("single") or {}).get(metric) or {}
    found = (report.get("combined") or {}).get("average") or {}
    if single.get("mean") is None or found.get(metric) is None:
        return []
    shares = metric == "accuracy"
    one = "a single network is right on" if shares else "a single network is off by (RMSE)"
    both = "the ensemble is right on" if shares else "the ensemble is off by (RMSE)"
    low, high = found["ci95"][metric]
    alone = _done(report) == 1
    spread = f"{_range(metric, single['min'], single['max'])} over {_done(report)} networks"
    lines = [
        Headline(one, _plain(metric, single["mean"]), "" if alone else spread, "single"),
        Headline(
            both, _plain(metric, found[metric]), f"95% interval {_range(metric, low, high)}", "ensemble"
        ),
    ]
    gain = difference(report, "members", metric)
    if gain is not None and not alone:
        low, high = gain["ci95"]
        value = f"{100 * gain['value']:+.2f} points" if shares else f"{gain['value']:+.4g}"
        limits = f"{100 * low:+.2f} to {100 * high:+.2f}" if shares else f"{low:+.4g} to {high:+.4g}"
        said = value.replace("-", MINUS), f"95% interval {limits}".replace("-", MINUS)
        lines.append(Headline("the difference, on the same rows", *said, "gain"))
    return lines


def verdicts(report: Report) -> list[tuple[str, str]]:
    """Questions that a person has, and what was measured: worth it, how to combine, trust, cost."""
    asked = (
        ("Does it hold on these rows?", _holds(report)),
        ("Is the ensemble better?", _worth(report)),
        ("Which way of combining?", _best(report)),
        (
            "May I trust its probabilities?" if _classes(report) else "May I trust its intervals?",
            _trust(report),
        ),
        ("What did it cost?", _cost(report)),
    )
    return [(question, answer) for question, answer in asked if answer]


def _holds(report: Report) -> str:
    """New rows against the run's own."""
    found = report.get("shift")
    if not found:
        return ""
    metric = ORDER[report["task"]][0]
    gain, own, new = found["difference"][metric], found["own"], found["new"]
    low, high = gain["ci95"]
    went = f"{_plain(metric, own[metric])} on the run's own test rows, {_plain(metric, new[metric])} on these"
    if low <= 0 <= high:
        return f"{_capital(went)}: too near for so few rows to tell."
    better = (gain["value"] < 0) != (metric == "accuracy")
    return f"{'Yes, and better' if better else 'No'}: {went}."


def _worth(report: Report) -> str:
    metric = ORDER[report["task"]][0]
    gain = difference(report, "members", metric)
    if _done(report) == 1:
        return "There is one network alone, so there is nothing to combine."
    if gain is None:
        return ""
    low, high = gain["ci95"]
    if low <= 0 <= high:
        return "These test rows cannot tell: the interval of the difference includes zero."
    if (gain["value"] < 0) == (metric == "accuracy"):
        return "No: the average of all networks is worse than a single one on average."
    mean, ours = report["single"][metric]["mean"], report["combined"]["average"][metric]
    if metric == "accuracy":
        left = (1 - ours) / (1 - mean)
        return f"Yes. Of 100 mistakes of a single network, {100 * left:.0f} remain."
    return f"Yes. Its typical error is {100 * (1 - ours / mean):.1f}% smaller than that of a single network."


def _best(report: Report) -> str:
    """The highest figure, and whether the plain average can be told from it."""
    metric = ORDER[report["task"]][0]
    sound = {
        name: found
        for name, found in (report.get("combined") or {}).items()
        if found.get(metric) is not None and found.get("advised") is not False
    }
    if len(sound) < 2 or "average" not in sound or _done(report) == 1:
        return ""
    pick = max if metric == "accuracy" else min
    best = pick(sound.values(), key=lambda one: float(one[metric]))[metric]
    names = [name for name, one in sound.items() if one[metric] == best]
    value = _plain(metric, best)
    if "average" in names:
        rest = f", with {listed(names[1:])}" if len(names) > 1 else ""
        return f"Plain averaging did best here: {value}{rest}."
    gain = difference(report, names[0], metric)
    if gain is None:
        return f"{_capital(names[0])} did best here: {value}."
    low, high = gain["ci95"]
    apart = "which these test rows cannot tell from it" if low <= 0 <= high else "and the difference holds"
    ours = _plain(metric, sound["average"][metric])
    return f"{_capital(listed(names))} did best here ({value}), plain averaging gave {ours}, {apart}."


def _trust(report: Report) -> str:
    found = report.get("calibration")
    average = (report.get("combined") or {}).get("average") or {}
    if _classes(report):
        if average.get("ece") is None:
            return ""
        said = f"Its confidence is off by {100 * average['ece']:.1f} points on average"
        if found and found.get("test") and found["test"].get("ece") is not None:
            said += f", {100 * found['test']['ece']:.1f} after calibration"
        return said + "."
    if average.get("coverage95") is None:
        return "The networks predict no spread, so there are no intervals of their own."
    return f"Its 95% intervals hold {100 * average['coverage95']:.1f}% of the test rows."


def _cost(report: Report) -> str:
    cost = report.get("cost") or {}
    said = []
    if cost.get("member_seconds") is not None:
        done = _done(report)
        wall = "" if cost.get("wall_seconds") is None else f", {duration(cost['wall_seconds'])} by the clock"
        each = f" for {done} networks, {duration(cost['member_seconds'] / done)} each" if done > 1 else ""
        said.append(f"{_capital(duration(cost['member_seconds']))} of training{each}{wall}.")
    if cost.get("predict_seconds_per_1000_rows") is not None:
        said.append(f"Predicting 1,000 rows takes {duration(cost['predict_seconds_per_1000_rows'])}.")
    return " ".join(said)


def difference(report: Report, other: str, metric: str) -> dict[str, Any] | None:
    """Average − other on the same rows: ``{"value", "ci95"}``."""
    for test in report.get("tests") or []:
        if test.get("a") == "average" and test.get("b") == other:
            found: dict[str, Any] | None = test["difference"].get(metric)
            return found
    return None


def listed(names: list[str]) -> str:
    """``a, b and c``."""
    cleaned = [clean(name) for name in names]
    return cleaned[0] if len(cleaned) == 1 else f"{', '.join(cleaned[:-1])} and {cleaned[-1]}"


def _classes(report: Report) -> bool:
    return bool(report["task"] == "classification")


def _done(report: Report) -> int:
    return sum(member.get("status") == "done" for member in report.get("members") or [])


def _plain(metric: str, value: float) -> str:
    return f"{100 * value:.2f}%" if metric == "accuracy" else number(metric, value)


def _range(metric: str, low: float, high: float) -> str:
    if metric == "accuracy":
        return f"{100 * low:.2f} to {100 * high:.2f}%"
    return f"{number(metric, low)} to {number(metric, high)}"


def _words(count: int) -> str:
    return FEW[count] if count < len(FEW) else f"{count:,}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
