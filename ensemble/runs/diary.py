"""A run's diary: what happened, one line of JSON an event, for people and `status`. Nothing is decided by it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from ensemble.runs import atomic


def append(path: Path, what: str, details: dict[str, Any]) -> None:
    """Append one line; it is not synced.

    Raises:
        DiskError: the disk refused.
    """
    line = {"time": round(time.time(), 3), "event": what, **details}
    atomic.append_line(path, atomic.json_line(line))


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Its lines, each with a number ``time`` and a word ``event``; one cut short by a crash is passed over.

    Raises:
        RunError: it is there, but no file.
    """
    if not os.path.lexists(path):
        return
    for line in atomic.read(path).splitlines():
        try:
            event = from_json(line)
            time_, what = event["time"], event["event"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(time_, int | float) and isinstance(what, str):
            yield event
