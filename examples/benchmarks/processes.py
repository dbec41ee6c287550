"""Running a command and watching all processes that come of it, however they are related by then."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "ENSEMBLE_BENCHMARK"
"""An environment variable that all descendants inherit: Ray's daemons are nobody's children in the end."""
COST = 0.01
"""Share of one core that watching memory may take."""
PATIENCE = 5.0
"""Seconds that processes have to end by themselves after the one that started them."""


@dataclass(frozen=True)
class Ran:
    """Attributes:
    begun: Seconds since the epoch.
    seconds: From the start of the first process to its end.
    code: Its exit code; None where it was stopped for taking too long.
    output: Standard output and error.
    private_mb: Peak, over time, of the memory that belongs to one process alone, summed over the processes; None
        where the system does not tell.
    left_behind: Processes that were still there long after the first one, and were ended.
    """

    begun: float
    seconds: float
    code: int | None
    output: str
    private_mb: float | None
    left_behind: int


def run(command: list[str], *, directory: Path, timeout: float) -> Ran:
    """Run ``command`` in ``directory``; whatever comes of it has ended when this returns."""
    mark = uuid.uuid4().hex
    late = threading.Event()

    def stop() -> None:
        late.set()
        _end(mark)

    timer = threading.Timer(timeout, stop)
    try:
        # A file, not a pipe: a daemon that inherited it would keep a pipe open.
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output,
            _watched(mark) as peaks,
        ):
            begun, clock = time.time(), time.perf_counter()
            environment = os.environ | {MARK: mark}
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            timer.start()
            code = process.wait()
            seconds = time.perf_counter() - clock
            output.seek(0)
            said = output.read()
    finally:
        timer.cancel()
        left = _wait(mark)
        _end(mark)
    peak = max(peaks) / 2**20 if peaks else None
    return Ran(begun, seconds, None if late.is_set() else code, said, peak, left)


def processes(mark: str) -> list[int]:
    """Every process that carries the mark; none where the system has no /proc."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (directory / "environ").read_bytes().split(b"\0"):
                found.append(int(directory.name))
    return found


def private_bytes(process: int) -> int:
    """Memory that no other process shares (USS); 0 for one that has just ended."""
    with suppress(OSError):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return 0


@contextmanager
def _watched(mark: str) -> Iterator[list[int]]:
    """Private memory now and then, at the price that ``COST`` allows."""
    peaks: list[int] = []
    over = threading.Event()

    def watch() -> None:
        pause = 0.1
        while not over.wait(pause):
            begun = time.thread_time()
            peaks.append(sum(map(private_bytes, processes(mark))))
            pause = max(0.1, (time.thread_time() - begun) / COST)

    if not Path("/proc/self/smaps_rollup").exists():
        yield peaks
        return
    thread = threading.Thread(target=watch, name="memory")
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()


def _wait(mark: str) -> int:
    """Give processes time to end by themselves; returns how many did not."""
    patient = time.monotonic() + PATIENCE
    while (left := len(processes(mark))) and time.monotonic() < patient:
        time.sleep(0.05)
    return left


def _end(mark: str) -> None:
    """Also of those that are started meanwhile; returns when none is left."""
    while left := processes(mark):
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)
