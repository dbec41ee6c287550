"""The report as one HTML file: nothing is fetched, nothing runs, every name in it stays text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ensemble.reports import comparison
from ensemble.reports.cards import Images
from ensemble.reports.overview import headlines, lead, verdicts
from ensemble.reports.plots import run_dots
from ensemble.reports.sections import footer, sections
from ensemble.reports.summary import Report, clean, notes, warnings

TEMPLATES = Path(__file__).with_name("templates")


def render_html(report: Report, images: Images | None = None) -> str:
    """The page of a ``report.json`` dict.

    Args:
        report: As `ensemble.runs.reporting.make_report` makes it; sections that are absent are passed over.
        images: Bytes ``(height, width, 1|3)`` of test rows by their number, where rows are images.
    """
    return render(
        "report.html",
        name=clean(report.get("name", "")),
        heading=_heading(report),
        lead=lead(report),
        headlines=headlines(report),
        verdicts=verdicts(report),
        warnings=warnings(report),
        sections=sections(report, images or {}),
        notes=notes(report),
        footer=footer(report),
    )


def render_comparison(found: comparison.Comparison) -> str:
    """The page of what `ensemble.runs.comparison.compare_runs` returns."""
    tables = (
        comparison.side_by_side(found, intervals=True),
        comparison.paired(found),
        comparison.settings(found),
    )
    return render(
        "comparison.html",
        labels=comparison.labels(found),
        verdicts=comparison.verdicts(found),
        pictures=[run_dots(found)],
        tables=[table for table in tables if table is not None],
        footer=[
            f"{label}: {clean(run['run'])}"
            for label, run in zip(comparison.labels(found), found["runs"], strict=True)
        ],
    )


def render(template: str, **values: Any) -> str:
    """A template of ours with the style sheet inside; what it is given is escaped, but for SVG that we drew."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["drawn"] = Markup
    style = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render(style=style, **values)


def _heading(report: Report) -> str:
    return clean((report.get("data") or {}).get("source", "unknown data"))
