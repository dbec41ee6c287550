"""The only code that commits a file: write aside, fsync, rename, fsync the directory. Then it is there, whole.

A file appears under its name complete or not at all, and survives a loss of power once ``commit`` has returned. Files
that a manifest names are only *written* each, and the manifest's commit begins with one fsync of every directory that
they lie in: so a manifest that is there names nothing that could still be lost, and several files cost one such fsync.
A failed fsync is never retried: after one the kernel may have dropped the very pages it could not write.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic_core import from_json, to_json
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from_bytes
from safetensors.numpy import save as tensors_to_bytes

from ensemble.errors import DiskError, RunError

TEMPORARY = ".writing"
"""Ending of a file that is being written; one that is found was never committed."""

DAMAGED = ".damaged"
"""Ending of what did not verify, and is kept for whoever wants to know why."""

SEAL = "content_sha256"

Tensors = dict[str, NDArray[Any]]
StrPath = str | os.PathLike[str]
"""A string where there are thousands: a `Path` costs as much as opening the file."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What a manifest says of a file; pydantic checks it when a manifest is read."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def digest(content: bytes) -> Digest:
    return Digest(len(content), hashlib.sha256(content).hexdigest())


def write(path: StrPath, content: bytes) -> Digest:
    """Put ``content`` under ``path``, whole, replacing what was there; the directory is made if it is missing.

    The name is durable once its directory is synced, which is the business of who names the file: ``commit_json``.

    Raises:
        DiskError: the disk refused; what was there before is intact.
    """
    target = os.fspath(path)
    temporary = target + TEMPORARY
    with _refusals(path, temporary):
        try:
            descriptor = _open_new(temporary)
        except FileNotFoundError:
            make_directory(Path(target).parent)
            descriptor = _open_new(temporary)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, target)
    return digest(content)


def _open_new(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)


def commit(path: StrPath, content: bytes) -> Digest:
    """Put ``content`` under ``path`` as ``write`` does, durably: of files that no manifest names, and of manifests.

    Raises:
        DiskError: the disk refused; what was there before is intact, or whole under its new content.
    """
    found = write(path, content)
    sync_directory(_directory_of(path))
    return found


def append_line(path: StrPath, line: bytes) -> None:
    """Add a line to a diary; after one that a crash cut short, on a line of its own.

    It is not synced, so the last ones may be lost with the power.

    Raises:
        DiskError: the disk refused.
    """
    with _refusals(path):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            content = b"\n" * torn + line + b"\n"
            if os.write(descriptor, content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)


def remove(path: StrPath) -> None:
    """Remove a file that may be there. Not synced: what comes back after a loss of power is verified when read."""
    with _refusals(path), suppress(FileNotFoundError):
        os.unlink(path)


def set_aside(path: Path) -> Path:
    """Rename what did not verify, a file or a directory, to ``*.damaged``; earlier ones stay. Returns the new name."""
    names = (f"{path.name}{DAMAGED}{number or ''}" for number in range(10_000))
    aside = next(other for other in map(path.with_name, names) if not os.path.lexists(other))
    with _refusals(path):
        os.replace(path, aside)
    sync_directory(path.parent)
    return aside


@contextmanager
def _refusals(path: StrPath, temporary: str | None = None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
        raise DiskError(
            f"cannot write {os.fspath(path)!r}: {error.strerror}; everything committed before is intact. "
            "Make room or mend the disk, then resume the run"
        ) from error


def make_directory(path: Path) -> None:
    """Make a directory and its parents; each new entry is synced in the directory that holds it."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with suppress(FileExistsError):
        os.mkdir(path)
    sync_directory(path.parent)


def _directory_of(path: StrPath) -> str:
    return os.path.dirname(path) or os.curdir


def sync_directory(path: StrPath) -> None:
    """Make renames and new entries of a directory durable.

    Raises:
        DiskError: the disk refused.
    """
    with _refusals(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_tensors(path: StrPath, tensors: Tensors) -> Digest:
    """Write arrays as safetensors, by sorted name and without metadata, so equal arrays make equal files."""
    # asarray and not ascontiguousarray, which makes vectors of scalars
    return write(
        path, tensors_to_bytes({name: np.asarray(tensors[name], order="C") for name in sorted(tensors)})
    )


def write_json(path: StrPath, content: dict[str, Any]) -> Digest:
    """Write a JSON object that carries the SHA-256 of its own canonical content under ``content_sha256``."""
    return write(path, _sealed(content))


def commit_json(path: StrPath, content: dict[str, Any], *, names: Iterable[StrPath] = ()) -> Digest:
    """Commit such an object.

    Args:
        path: Where.
        content: Without its seal.
        names: Files that were written and that this one vouches for. Their names are made durable before it is there.

    Raises:
        DiskError: the disk refused; what was there before is intact.
    """
    for directory in dict.fromkeys(map(_directory_of, names)):
        sync_directory(directory)
    return commit(path, _sealed(content))


def _sealed(content: dict[str, Any]) -> bytes:
    """A line for every key, and for every object in a list: what people can read and ``diff`` can tell apart."""
    sealed = {**content, SEAL: content_digest(content)}
    return (
        "{\n" + ",\n".join(f"  {_compact(key)}: {_value(sealed[key])}" for key in sealed) + "\n}\n"
    ).encode()


def _value(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return "[\n    " + ",\n    ".join(map(_compact, value)) + "\n  ]"
    return _compact(value)


def json_line(value: Any) -> bytes:
    """JSON in one line. NaN stands as itself; what is no Unicode, as bytes of a name in a message, is escaped."""
    try:
        return to_json(value, inf_nan_mode="constants")
    except ValueError:  # pydantic's encoder, several times as fast, refuses a lone surrogate
        return json.dumps(value).encode()


def _compact(value: Any) -> str:
    return json_line(value).decode()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def content_digest(content: dict[str, Any]) -> str:
    """SHA-256 of the canonical form: sorted keys, no spaces, without the seal itself."""
    bare = {key: value for key, value in content.items() if key != SEAL}
    return hashlib.sha256(_canonical(bare).encode()).hexdigest()


def read_json(path: StrPath) -> dict[str, Any]:
    """A JSON object that ``commit_json`` wrote, verified.

    Raises:
        RunError: missing, not JSON, or its content does not have the digest it carries.
    """
    try:
        content = from_json(read(path))
        sealed = isinstance(content, dict) and content.get(SEAL) == content_digest(content)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{os.fspath(path)!r} is damaged: not JSON ({error})") from None
    if not sealed:
        raise RunError(
            f"{os.fspath(path)!r} is damaged: its content does not have the SHA-256 that it carries"
        )
    del content[SEAL]
    return dict(content)


def check_size(path: StrPath, expected: Digest) -> None:
    """See that a file is there and as long as its manifest says: what costs nothing to find out.

    Raises:
        RunError: missing, no file, or of another size.
    """
    try:
        status = os.lstat(path)
    except OSError as error:
        raise RunError(f"cannot read {os.fspath(path)!r}: {error.strerror}") from None
    _check(path, status, expected)


def read_verified(path: StrPath, expected: Digest) -> bytes:
    """A file's content, its size and digest as the manifest has them.

    Raises:
        RunError: missing or damaged.
    """
    content = read(path, expected)
    if digest(content) != expected:
        raise RunError(f"{os.fspath(path)!r} is damaged: its SHA-256 is not the one its manifest says")
    return content


def read(path: StrPath, expected: Digest | None = None) -> bytes:
    """A regular file's content: no link is followed out of the run, and no pipe is waited for.

    Args:
        path: Of the file.
        expected: What its manifest says; of a file of another size nothing is read.

    Raises:
        RunError: missing, unreadable, no regular file, or of another size.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            _check(path, status, expected)
            content = os.read(descriptor, size := status.st_size)
            while len(content) < size and (more := os.read(descriptor, size - len(content))):
                content += more  # one call reads 2 GB at most
            return content
        finally:
            os.close(descriptor)
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise RunError(f"cannot read {os.fspath(path)!r}: {reason}") from None


def _check(path: StrPath, status: os.stat_result, expected: Digest | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RunError(f"{os.fspath(path)!r} is no file of a run but {_kind(status.st_mode)}")
    if expected is not None and status.st_size != expected.size:
        raise RunError(
            f"{os.fspath(path)!r} is damaged: {status.st_size} bytes, but its manifest says {expected.size}"
        )


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISLNK, "a symbolic link"), (stat.S_ISDIR, "a directory"))
    return next((name for test, name in kinds if test(mode)), "a device or a pipe")


def read_tensors(path: StrPath, expected: Digest) -> Tensors:
    """Arrays of a safetensors file, verified by size and digest before anything is parsed.

    Raises:
        RunError: missing or damaged.
    """
    content = read_verified(path, expected)
    try:
        return dict(tensors_from_bytes(content))
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise RunError(f"{os.fspath(path)!r} is no safetensors file: {error}") from None
