"""Driver processes and the workers that belong to them: started, found, signalled, waited for."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.faults.driver import OPTIONS

ROOT = Path(__file__).parents[2]


class Driver:
    """A coordinator in a process of its own; all processes that come of it carry its mark in their environment."""

    def __init__(
        self, run: Path, *more: str, options: Mapping[str, Any], environment: Mapping[str, str]
    ) -> None:
        self.run = run
        self.mark = f"ENSEMBLE_TEST_MARK={secrets.token_hex(8)}"
        name, _, value = self.mark.partition("=")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.driver", str(run), json.dumps(options), *more],
            cwd=ROOT,
            env={**inherited, **environment, name: value},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def family(self, command: bytes = b"") -> list[int]:
        """Living processes that came of it, itself aside, whose command line has ``command`` in it."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                marked = self.mark.encode() in (entry / "environ").read_bytes()
                if marked and command in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return sorted(set(found) - {self.process.pid})

    def workers(self) -> list[int]:
        return self.family(b"ray::MemberActor")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, *, within: float = 60.0) -> tuple[int, str]:
        """Exit code and what it said on standard error."""
        _, said = self.process.communicate(timeout=within)
        return self.process.returncode, said


@contextmanager
def driver(
    run: Path,
    *more: str,
    options: Mapping[str, Any] = OPTIONS,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Driver]:
    """A driver, of which nothing is left afterwards.

    Args:
        run: Its run directory.
        more: Arguments of the command, beside those of all drivers here.
        options: What to train.
        environment: Variables beside those of this process.
    """
    one = Driver(run, *more, options=options, environment=environment)
    try:
        yield one
    finally:
        for pid in [*([one.process.pid] if one.running else []), *one.family()]:
            try_kill(pid, signal.SIGKILL)
        one.process.communicate()


def digests(run: Path) -> dict[str, str]:
    """SHA-256 of every array that training made, by name."""
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.glob("members/00?/**/*.safetensors"))
    }


def at_work(one: Driver) -> bool:
    """Whether a worker trains now: the diary has grown since a moment ago."""
    diary = one.run / "events.jsonl"
    before = diary.stat().st_size if diary.exists() else 0
    return wait_until(
        lambda: not one.running or (diary.exists() and diary.stat().st_size > before), within=60
    )


def try_kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_until(condition: Callable[[], object], *, within: float = 60.0) -> bool:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True
