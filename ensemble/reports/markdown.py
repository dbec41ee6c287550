"""The report as GitHub Markdown, to paste into a pull request."""

from __future__ import annotations

import re

from ensemble.reports.summary import NOTHING, Report, Row, notes, sentences, table, title, warnings


def render_markdown(report: Report) -> str:
    """The report of a ``report.json`` dict, ending in a newline; names in it are escaped and stay names."""
    content = table(report)
    width = len(content.header) - 1
    lines = [
        f"### {escape(title(report))}",
        "",
        _line(content.header),
        "|" + " --- |" + " ---: |" * width,
        *(_row(row, width) for row in content.rows),
        "",
        *(f"- {escape(sentence)}" for sentence in sentences(report)),
        *(f"- ⚠️ {escape(warning)}" for warning in warnings(report)),
        *(f"- {escape(note)}" for note in notes(report)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    """Text that Markdown and HTML show as it is: no markup, no links, no mentions of people or issues."""
    entities = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", "#": "&#35;", "://": "&#58;//"}
    entities |= {"www.": "www&#46;"}
    found = re.sub("|".join(map(re.escape, entities)), lambda match: entities[match[0]], text)
    return re.sub(r"([\\`*_\[\]|~!])", r"\\\1", found)


def _row(row: Row, width: int) -> str:
    cells = row.cells or ("",) * width
    if row.kind != "combined":
        return _line((row.name, *cells))
    return (
        "| "
        + " | ".join(f"**{escape(cell)}**" if cell != NOTHING else cell for cell in (row.name, *cells))
        + " |"
    )


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(escape(cell) for cell in cells) + " |"
