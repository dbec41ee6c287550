"""How members learned, as the report draws it: from their histories, thinned to what a picture can show."""

from __future__ import annotations

from typing import Any

import numpy as np

from ensemble.runs.records import MemberRecord
from ensemble.runs.store import RunStore

MOST_EPOCHS = 200
"""Of longer histories so many epochs are kept, evenly, the first and the last among them."""
MOST_MEMBERS = 100
"""Of more members so many are drawn, evenly spaced: a picture of more lines shows none of them."""
CURVES = ("loss", "valid_loss", "metric", "lr", "clipped", "grad_norm")


def training_curves(store: RunStore, records: list[MemberRecord]) -> list[dict[str, Any]]:
    """Of each of at most 100 members ``{"index", "epoch", "loss", "valid_loss", "metric", "lr", "clipped",
    "grad_norm"}``.

    Columns of equal length, one value an epoch, rounded to six digits; None where there is none.
    """
    shown = np.linspace(0, len(records) - 1, min(len(records), MOST_MEMBERS)).round().astype(int)
    return [
        {"index": record.index, **_columns(store.history(record))} for record in (records[at] for at in shown)
    ]


def _columns(history: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    last = len(history) - 1
    kept = np.linspace(0, last, min(len(history), MOST_EPOCHS)).round().astype(int).tolist()
    columns: dict[str, list[float | None]] = {"epoch": [history[at]["epoch"] for at in kept]}
    for name in CURVES:
        columns[name] = [_rounded(history[at][name]) for at in kept]
    return columns


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.6g}")
