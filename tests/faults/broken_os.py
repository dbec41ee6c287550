"""A stand-in for ``os`` under the committing code: it counts calls, and fails or dies at the one it is told to."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

WRITING = ("mkdir", "open", "write", "fsync", "replace", "unlink")
"""What the writer asks of the disk. Opening to read is left alone."""


class Crash(BaseException):
    """The process dies here: no handler of ours may catch it."""


class BrokenOs:
    """``os``, whose writing calls are counted.

    Attributes:
        calls: Writing calls so far.
        renamed: Targets of the renames that came to pass, in order.
    """

    def __init__(
        self, *, crash_at: int | None = None, fail_at: int | None = None, error: int = errno.ENOSPC
    ) -> None:
        self.calls = 0
        self.renamed: list[Path] = []
        self._crash_at, self._fail_at, self._error = crash_at, fail_at, error

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in WRITING:
            return real

        def call(*args: Any, **options: Any) -> Any:
            if name == "open" and not args[1] & (os.O_WRONLY | os.O_RDWR):
                return real(*args, **options)
            self.calls += 1
            if self.calls in (self._crash_at, self._fail_at) and name == "write":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])  # half of it still reaches the file
            if self.calls == self._crash_at:
                raise Crash
            if self.calls == self._fail_at:
                raise OSError(self._error, os.strerror(self._error))
            result = real(*args, **options)
            if name == "replace":
                self.renamed.append(Path(args[1]))
            return result

        return call
