"""The directory of a private Ray and the processes that live in it: made, found, ended, removed.

Every process of a private Ray carries the session's token path in its environment, workers and agents included, also
after their parent died and they belong to init. So they are found by that, not by a tree of parents.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "ensemble-ray-"
LONGEST_PARENT = 18
"""What comes below it is 23 characters of ours and 65 of Ray's for its sockets, whose whole path may have 107."""


@contextmanager
def session_directory() -> Iterator[Path]:
    """A short directory of this session alone, gone at the end. Those of killed sessions are swept away first."""
    parent = tempfile.gettempdir()
    if len(parent) > LONGEST_PARENT:
        parent = "/tmp"
    _sweep(Path(parent))
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    lock = os.open(directory / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _sweep(parent: Path) -> None:
    """Remove what sessions left that were killed: theirs are the directories whose lock nobody holds."""
    for lock in parent.glob(f"{PREFIX}*/lock"):
        try:
            if lock.lstat().st_uid != os.getuid() or not stat.S_ISREG(lock.lstat().st_mode):
                continue
            descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            if not processes_of(lock.parent):
                shutil.rmtree(lock.parent, ignore_errors=True)
        finally:
            os.close(descriptor)


def processes_of(directory: Path) -> list[int]:
    """Pids of all living processes of the session in ``directory``, this one aside; none where there is no /proc."""
    marker = b"RAY_AUTH_TOKEN_PATH=" + os.fsencode(directory) + b"/"
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # A zombie has no environment left, so only the living are found.
            if marker in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return sorted(set(found) - {os.getpid()})


def end_processes(directory: Path, *, grace: float) -> None:
    """End every process of the session: wait ``grace`` seconds, ask for a second, then kill."""
    if _gone(directory, within=grace):
        return
    for sign, patience in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 2.0)):
        for pid in processes_of(directory):
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                continue
        if _gone(directory, within=patience):
            return


def _gone(directory: Path, *, within: float) -> bool:
    deadline = time.monotonic() + within
    while processes_of(directory):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True
