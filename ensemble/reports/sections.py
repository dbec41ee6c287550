"""The page below its first screen: questions in the order in which people ask them, with what answers each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ensemble.reports import plots, plots_by_task
from ensemble.reports.cards import Cards, Images, card_sections
from ensemble.reports.drawing import Picture
from ensemble.reports.summary import Report, clean, sentences
from ensemble.reports.tables import (
    PageTable,
    class_table,
    decomposition_table,
    member_table,
    results_table,
    shift_table,
    tests_table,
)


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    intro: str = ""
    sentences: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[PageTable, ...] = ()
    cards: tuple[Cards, ...] = ()


def sections(report: Report, images: Images) -> list[Section]:
    """All sections that the report has something for."""
    classes = report["task"] == "classification"
    first = "accuracy" if classes else "rmse"
    found = [
        Section("New rows beside the run's own", tables=_there(shift_table(report))),
        Section(
            "What do more networks buy?",
            pictures=_there(plots.size_curve(report, first), plots.size_curve(report, "nll")),
        ),
        Section(
            "Which way of combining?",
            sentences=tuple(sentences(report)),
            pictures=_there(plots.contenders(report)),
            tables=_there(results_table(report), tests_table(report)),
        ),
        Section(
            "May its probabilities be trusted?" if classes else "May its intervals be trusted?",
            intro=_calibration_intro(report),
            pictures=_there(
                plots_by_task.reliability(report, "average"),
                plots_by_task.reliability(report, "calibrated"),
                plots_by_task.points(report),
                plots_by_task.coverage(report),
            ),
        ),
        Section(
            "Where is it unsure?",
            pictures=_there(plots.rejection(report)),
            tables=_there(decomposition_table(report)),
            cards=card_sections(report, images),
        ),
        Section(
            "Where does it err?",
            pictures=_there(plots_by_task.confusion(report)),
            tables=_there(class_table(report)),
        ),
        Section(
            "The networks",
            pictures=_there(plots.disagreement(report), plots.training(report)),
            tables=(member_table(report),),
        ),
    ]
    return [one for one in found if one.pictures or one.tables or one.cards or one.sentences]


def _there(*given: Any) -> tuple[Any, ...]:
    return tuple(one for one in given if one is not None)


def _calibration_intro(report: Report) -> str:
    found = report.get("calibration")
    if not found:
        return "There were too few validation rows to fit a temperature or conformal sets."
    conformal = found["conformal"]
    rows = f"{found['rows']:,} validation rows that selected nothing"
    promised, held = f"{conformal['coverage']:.0%}", f"{100 * conformal['test_coverage']:.1f}%"
    if found.get("temperature") is not None:
        return (
            f"Fitted on {rows}: a temperature of {found['temperature']:.2f}, and sets of classes that promise to hold "
            f"the true one for {promised} of new rows. On the test rows they hold it for {held}, with "
            f"{conformal['mean_set_size']:.2f} classes in a set on average."
        )
    width = conformal.get("mean_width")
    wide = "" if width is None else f", {width:.4g} wide on average"
    return f"Fitted on {rows}: conformal intervals that promise {promised}. They hold {held} of the test rows{wide}."


def footer(report: Report) -> list[str]:
    """What made these figures: environment and identity of the data."""
    said = []
    found = report.get("environment") or {}
    versions = ", ".join(
        f"{clean(name)} {clean(version)}" for name, version in (found.get("versions") or {}).items()
    )
    parts = [clean(one) for one in found.get("hardware") or []]
    parts += [
        f"{_any(found, 'threads')} threads a network"
        if _any(found, "threads") != "1"
        else "1 thread a network"
    ]
    parts += [_any(found, "precision"), versions]
    if found:
        said.append(" · ".join(part for part in parts if part))
    data = report.get("data") or {}
    if data.get("sha256"):
        said.append(f"SHA-256 of the rows, targets and split: {clean(data['sha256'])}")
    said.append(
        "Intervals are 95% bootstrap intervals over test rows (1,000 resamples). NLL: negative log-likelihood"
    )
    said[-1] += " in nats. ECE: expected calibration error, 15 bins. The same figures, in full: report.json."
    return said


def _any(found: dict[str, Any], key: str) -> str:
    return ", ".join(clean(one) for one in found.get(key) or [])
