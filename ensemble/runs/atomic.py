"""The only code that commits a file: write aside, fsync, rename, fsync the directory. Then it is there, whole.

A file appears under its name complete or not at all, and survives a loss of power once ``commit`` has returned.
A failed fsync is never retried: after one the kernel may have dropped the very pages it could not write.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from_bytes
from safetensors.numpy import save as tensors_to_bytes

from ensemble.errors import RunError

TEMPORARY = ".writing"
"""Ending of a file that is being written; one that is found was never committed."""

SEAL = "content_sha256"

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Digest:
    """What a manifest says of a file."""

    size: int
    sha256: str


def digest(content: bytes) -> Digest:
    return Digest(len(content), hashlib.sha256(content).hexdigest())


def commit(path: Path, content: bytes) -> Digest:
    """Put ``content`` under ``path``, durably, replacing what was there; the directory is made if it is missing.

    Raises:
        RunError: the disk refused; what was there before is intact.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        make_directory(path.parent)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
        sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(
            f"cannot write {str(path)!r}: {error.strerror}; everything committed before is intact. "
            "Make room or mend the disk, then resume the run"
        ) from error
    return digest(content)


def make_directory(path: Path) -> None:
    """Make a directory and its parents; each new entry is synced in the directory that holds it."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and new entries of a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def commit_tensors(path: Path, tensors: Tensors) -> Digest:
    """Commit arrays as safetensors, by sorted name and without metadata, so equal arrays make equal files."""
    return commit(
        path, tensors_to_bytes({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)})
    )


def commit_json(path: Path, content: dict[str, Any]) -> Digest:
    """Commit a JSON object that carries the SHA-256 of its own canonical content under ``content_sha256``."""
    sealed = {**content, SEAL: content_digest(content)}
    return commit(path, (json.dumps(sealed, indent=2, allow_nan=False) + "\n").encode())


def content_digest(content: dict[str, Any]) -> str:
    """SHA-256 of the canonical form: sorted keys, no spaces, without the seal itself."""
    bare = {key: value for key, value in content.items() if key != SEAL}
    canonical = json.dumps(bare, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object that ``commit_json`` wrote, verified.

    Raises:
        RunError: missing, not JSON, or its content does not have the digest it carries.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise RunError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{str(path)!r} is damaged: not JSON ({error})") from None
    if not isinstance(content, dict) or content.get(SEAL) != content_digest(content):
        raise RunError(f"{str(path)!r} is damaged: its content does not have the SHA-256 that it carries")
    del content[SEAL]
    return content


def read_verified(path: Path, expected: Digest) -> bytes:
    """A file's content, its size and digest as the manifest has them.

    Raises:
        RunError: missing or damaged.
    """
    try:
        size = path.stat().st_size
        if size != expected.size:
            raise RunError(f"{str(path)!r} is damaged: {size} bytes, but its manifest says {expected.size}")
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"cannot read {str(path)!r}: {error.strerror}") from None
    if digest(content) != expected:
        raise RunError(f"{str(path)!r} is damaged: its SHA-256 is not the one its manifest says")
    return content


def read_tensors(path: Path, expected: Digest) -> Tensors:
    """Arrays of a safetensors file, verified by size and digest before anything is parsed.

    Raises:
        RunError: missing or damaged.
    """
    content = read_verified(path, expected)
    try:
        return dict(tensors_from_bytes(content))
    except (SafetensorError, ValueError, KeyError) as error:
        raise RunError(f"{str(path)!r} is no safetensors file: {error}") from None
