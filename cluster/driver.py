"""What a job runs on the cluster: sees that the command can run here, and runs it.

A script, run by whatever ``python3`` the cluster has, so it begins with nothing but the standard library, in words that
an old Python understands.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from typing import Any

OLDEST = (3, 11)
NEEDED = (
    "click",
    "fsspec",
    "jinja2",
    "matplotlib",
    "numpy",
    "PIL",
    "pyarrow",
    "pydantic",
    "ray",
    "rich",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
)
"""Modules of the project's dependencies, by the names they are imported under."""
RESULTS = "-- results --"
"""A job has one log for both of its outputs: what follows this line was written to standard output."""
BAD_INPUT = 2


def complaint() -> str | None:
    """Why the command cannot run on this machine; None where it can."""
    here = f"the cluster's python3 is {sys.version.split()[0]} ({sys.executable})"
    there = "start Ray on the cluster in an environment that has what `pip install ensemble-trainer` brings"
    if sys.version_info[:2] < OLDEST:
        return f"{here}, but {OLDEST[0]}.{OLDEST[1]} or newer is needed; {there}"
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return f"{here} and has no {', '.join(missing)}; {there}" if missing else None


class Announced:
    """A standard output that says where it begins."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._begun = False

    def write(self, text: str) -> Any:
        if text and isinstance(text, str) and not self._begun:
            self._begun = True
            self._stream.write(RESULTS + "\n")
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def main() -> None:
    # A script's own directory comes first, and would make `cluster.session` importable as `session`.
    sys.path[0] = os.getcwd()
    wrong = complaint()
    if wrong is not None:
        print("error: " + wrong, file=sys.stderr)
        sys.exit(BAD_INPUT)
    sys.stdout = Announced(sys.stdout)
    runpy.run_module("ensemble.cli.main", run_name="__main__")


if __name__ == "__main__":
    main()
