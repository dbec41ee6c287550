"""Single test rows on the page: what they look like, what they are, what the ensemble said of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.reports.summary import Report, clean

LEAST_TOLD = 0.005
"""A probability that would read as 0% is left out."""
Images = Mapping[int, NDArray[np.uint8]]
"""Bytes ``(height, width, 1|3)`` by the number of a test row."""


@dataclass(frozen=True)
class Card:
    """One row; lines are pairs of a style and a text."""

    row: int
    image: str | None
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Cards:
    """Rows of one kind."""

    title: str
    sentence: str
    cards: tuple[Card, ...]


def card_sections(report: Report, images: Images) -> tuple[Cards, ...]:
    """The most striking mistakes and the most uncertain rows, where there are any."""
    rows = (report.get("figures") or {}).get("rows") or {}
    if report["task"] == "classification":
        titles = (
            (
                "The most confident mistakes",
                "Wrong, and surest of it. Some are mislabelled or belong to two classes.",
            ),
            (
                "The most uncertain rows",
                "Where the ensemble's probabilities are spread most evenly, right or wrong.",
            ),
        )
    else:
        titles = (
            ("The greatest surprises", "Rows whose true value lies farthest outside what was predicted."),
            ("The most uncertain rows", "Rows whose predictions are widest."),
        )
    found = []
    for key, (title, sentence) in zip(("mistakes", "uncertain"), titles, strict=True):
        cards = tuple(_card(report, row, images) for row in rows.get(key) or [])
        if cards:
            found.append(Cards(title, sentence, cards))
    return tuple(found)


def _card(report: Report, row: dict[str, Any], images: Images) -> Card:
    image = images.get(row["row"])
    lines = _class_lines(report, row) if report["task"] == "classification" else _value_lines(row)
    shown = None if image is None else data_uri(image)
    return Card(row["row"], shown, (*lines, ("small", f"test row {row['row']:,}")))


def _class_lines(report: Report, row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    names = [clean(name) for name in report["data"]["classes"]]
    right = row["true"] == row["predicted"]
    others = [
        f"{names[label]} {share:.0%}"
        for label, share in row["top"]
        if label != row["predicted"] and share >= LEAST_TOLD
    ]
    lines = [
        ("right" if right else "said", f"said {names[row['predicted']]}, {row['confidence']:.0%} sure"),
        ("true", "which is right" if right else f"is {names[row['true']]}"),
    ]
    if others:
        lines.append(("small", ", ".join(others)))
    if row["agree"] < 1:
        lines.append(("small", f"{row['agree']:.0%} of the networks agree"))
    return tuple(lines)


def _value_lines(row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    lines = [("said", f"said {row['mean']:.4g}"), ("true", f"is {row['true']:.4g}")]
    if row["std"] is not None:
        lines.append(("small", f"95%: {row['low95']:.4g} to {row['high95']:.4g}"))
    return (*lines, ("small", f"networks ± {row['spread']:.3g}"))


def data_uri(image: NDArray[np.uint8]) -> str:
    """A PNG to stand in the page itself."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
