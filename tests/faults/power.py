"""A disk that remembers what was synced: every state in which a loss of power could leave a directory."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Loss = Literal[
    "all that was not synced", "data that was not synced", "entries that were not synced", "some", "none"
]
"""What the power takes with it. ``data …`` keeps renames whose files were never synced: the way to empty files."""


@dataclass
class Node:
    """A file: what was written, and what of it is on the disk. Or a directory."""

    directory: bool
    written: bytes = b""
    synced: bytes = b""


@dataclass(frozen=True)
class Call:
    """One call of the writer, or what it acknowledged (``ack``)."""

    kind: Literal["mkdir", "create", "write", "sync", "sync directory", "rename", "unlink", "ack"]
    path: str
    more: Any = None


class RecordingOs:
    """``os`` under the committing code, which writes down what the writer does below ``root``.

    Args:
        root: Paths are noted from there.
        leave_out: Calls that are carried out but not noted: as if the writer did not make them.
    """

    def __init__(self, root: Path, *, leave_out: Callable[[list[Call], Call], bool] | None = None) -> None:
        self.calls: list[Call] = []
        self._root, self._leave_out = root, leave_out or (lambda calls, call: False)
        self._opened: dict[int, tuple[str, bool]] = {}

    def note(self, kind: Any, path: Any, more: Any = None) -> None:
        call = Call(kind, os.path.relpath(path, self._root) if kind != "ack" else str(path), more)
        if not self._leave_out(self.calls, call):
            self.calls.append(call)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def mkdir(self, path: Any) -> None:
        os.mkdir(path)
        self.note("mkdir", path)

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        new = not os.path.exists(path) or bool(flags & os.O_TRUNC)
        descriptor = os.open(path, flags, mode)
        self._opened[descriptor] = (str(path), os.path.isdir(path))
        if flags & os.O_CREAT and new:
            self.note("create", path)
        return descriptor

    def write(self, descriptor: int, content: Any) -> int:
        written = os.write(descriptor, content)
        self.note("write", self._opened[descriptor][0], bytes(content[:written]))
        return written

    def fsync(self, descriptor: int) -> None:
        os.fsync(descriptor)
        path, directory = self._opened[descriptor]
        self.note("sync directory" if directory else "sync", path)

    def replace(self, source: Any, target: Any) -> None:
        os.replace(source, target)
        self.note("rename", source, os.path.relpath(target, self._root))

    def unlink(self, path: Any) -> None:
        os.unlink(path)
        self.note("unlink", path)


@dataclass
class Disk:
    """The directory as processes see it, and as the disk has it."""

    seen: dict[str, Node] = field(default_factory=dict)
    kept: dict[str, Node] = field(default_factory=dict)

    def apply(self, call: Call) -> None:
        if call.kind == "mkdir":
            self.seen[call.path] = Node(True)
        elif call.kind == "create":
            self.seen[call.path] = Node(False)
        elif call.kind == "write":
            self.seen[call.path].written += call.more
        elif call.kind == "sync":
            self.seen[call.path].synced = self.seen[call.path].written
        elif call.kind == "rename":
            self.seen[call.more] = self.seen.pop(call.path)
        elif call.kind == "unlink":
            del self.seen[call.path]
        elif call.kind == "sync directory":
            here = {path for path in {*self.seen, *self.kept} if (os.path.dirname(path) or ".") == call.path}
            for path in here:
                self._keep(path)

    def _keep(self, path: str) -> None:
        if path in self.seen:
            self.kept[path] = self.seen[path]
        else:
            self.kept.pop(path, None)

    def after(self, loss: Loss, chance: random.Random) -> dict[str, bytes | None]:
        """Paths and contents (None: a directory) that are left when the power goes."""
        entries = dict(self.seen if loss in ("data that was not synced", "none") else self.kept)
        if loss == "some":
            for path in sorted({*self.seen, *self.kept}):
                if chance.random() < 0.5 and path in self.seen:
                    entries[path] = self.seen[path]
                elif path not in self.seen and chance.random() < 0.5:
                    entries.pop(path, None)
        whole = loss in ("entries that were not synced", "none")
        left: dict[str, bytes | None] = {}
        for path in sorted(entries):
            parent = os.path.dirname(path)
            if parent and parent not in left:
                continue  # its directory is not there
            node = entries[path]
            written = whole or (loss == "some" and chance.random() < 0.5)
            left[path] = None if node.directory else node.written if written else node.synced
        return left


LOSSES: tuple[Loss, ...] = (
    "all that was not synced",
    "data that was not synced",
    "entries that were not synced",
    "some",
    "none",
)


def power_losses(calls: list[Call], *, seed: int = 0) -> Iterator[tuple[int, Loss, dict[str, bytes | None]]]:
    """Every different state after every prefix of the calls: its length, what was lost, and what is left."""
    disk, chance, before = Disk(), random.Random(seed), dict[Loss, Any]()
    for length in range(len(calls) + 1):
        if length:
            disk.apply(calls[length - 1])
        for loss in LOSSES:
            left = disk.after(loss, chance)
            if before.get(loss) != left or (length and calls[length - 1].kind == "ack"):
                before[loss] = left
                yield length, loss, left


def put_back(left: dict[str, bytes | None], root: Path) -> None:
    """Write such a state below ``root``."""
    for path, content in left.items():
        if content is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(content)
