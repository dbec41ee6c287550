"""One coordinator a run: a lock that names its holder and is freed by the holder's death."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ensemble.errors import RunError


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock while the block runs. The kernel frees it when this process dies, however it dies.

    Raises:
        RunError: another process holds it, whom the message names; or the run cannot be written to.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise RunError(
            f"run {str(path.parent)!r} cannot be written to: {error.strerror}; nothing was started"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"run {str(path.parent)!r} is held by {_read(path)}; wait for it, or stop that process first"
            ) from None
        mine = {"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.ftruncate(descriptor, 0)
        with suppress(OSError):  # the lock holds without the name, as on a full disk
            os.pwrite(descriptor, json.dumps(mine).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder(path: Path) -> str | None:
    """Who holds the lock now, in words; None where nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    finally:
        os.close(descriptor)
    return None


def _read(path: Path) -> str:
    try:
        said = json.loads(path.read_bytes())
        return f"process {said['pid']} on {said['host']} since {said['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
