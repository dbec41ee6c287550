"""Whose a storage is, and whether somebody writes there now: the first object that a run puts, renewed as it goes.

An object store has no lock. The claim is what can be had: it names its holder and is renewed every few seconds, so that
a second coordinator is refused while the first is heard, and a dead one is told by its silence.
"""

from __future__ import annotations

import json
import os
import platform
import time
from typing import Any, Literal

from pydantic import ValidationError

from ensemble.errors import RunError
from ensemble.runs import atomic
from ensemble.runs.records import Record, RunRecord
from ensemble.runs.storage import Storage

CLAIM = "mirror.json"
RENEWED_EVERY = 15.0
BELIEVED = 120.0
"""Seconds of silence after which a holder is taken for dead: longer than one large file takes, and clocks differ."""


class Identity(Record):
    """What tells a run from every other."""

    name: str
    created: str
    data_sha256: str

    @classmethod
    def of(cls, record: RunRecord) -> Identity:
        return cls(name=record.name, created=record.created, data_sha256=record.data_sha256)


class Claim(Record):
    """``mirror.json``."""

    format: Literal[1] = 1
    run: Identity
    going: bool
    """Whether its holder meant to go on when it wrote this."""
    host: str
    pid: int
    time: float
    """Seconds since 1970, by the holder's clock."""

    @classmethod
    def now(cls, run: Identity, *, going: bool) -> Claim:
        return cls(run=run, going=going, host=platform.node(), pid=os.getpid(), time=time.time())

    @property
    def holder(self) -> str | None:
        """Who writes there now, in words; None where nobody does, or has not been heard for too long."""
        silent = time.time() - self.time
        if not self.going or silent > BELIEVED:
            return None
        return f"process {self.pid} on {self.host}, heard {max(0.0, silent):.0f} s ago"

    def sealed(self) -> bytes:
        content = self.model_dump(mode="json")
        return json.dumps({**content, atomic.SEAL: atomic.content_digest(content)}, indent=2).encode()


def read_claim(storage: Storage, sizes: dict[str, int]) -> Claim | None:
    """The claim on a storage; None where there is none or it was cut short."""
    if CLAIM not in sizes:
        return None
    try:
        return Claim.model_validate(_unsealed(storage.read(CLAIM)))
    except (ValueError, RecursionError, ValidationError):
        return None


def check_claim(storage: Storage, run: Identity | None) -> dict[str, int]:
    """See that a run may be kept in a storage: it is empty, or this run's own and nobody writes there now.

    Args:
        storage: The place.
        run: None for a run that is not made yet.

    Returns:
        Bytes of every object there, by name.

    Raises:
        RunError: something else is there, or another process writes there.
        UsageError: it cannot be reached.
    """
    sizes = storage.sizes_soon()
    if not sizes:
        return sizes
    claim = read_claim(storage, sizes)
    there = claim.run if claim is not None else _run_of(storage, sizes)
    if there is None or there != run:
        what = "something else" if there is None else f"run {there.name!r} of {there.created}"
        raise RunError(
            f"storage {storage.address!r} holds {what}; name an empty place with --storage, "
            f"or go on with what is there: ensemble resume {storage.address}"
        )
    check_free(storage, claim)
    return sizes


def check_free(storage: Storage, claim: Claim | None) -> None:
    """See that nobody writes to a storage.

    Raises:
        RunError: somebody does.
    """
    if claim is not None and claim.holder is not None and (claim.host, claim.pid) != _here():
        raise RunError(
            f"the run in {storage.address!r} is held by {claim.holder}; wait for it, or stop that process first. "
            f"If it is dead, its claim ends after {BELIEVED:.0f} s of silence"
        )


def _run_of(storage: Storage, sizes: dict[str, int]) -> Identity | None:
    if "config.json" not in sizes:
        return None
    try:
        return Identity.of(RunRecord.model_validate(_unsealed(storage.read("config.json"))))
    except (ValueError, RecursionError, ValidationError):
        return None


def _unsealed(content: bytes | None) -> dict[str, Any]:
    """The JSON object that ``content`` is, without its seal.

    Raises:
        ValueError: it is none, or does not have the digest that it carries.
    """
    parsed = json.loads(content or b"null")
    if not isinstance(parsed, dict) or parsed.get(atomic.SEAL) != atomic.content_digest(parsed):
        raise ValueError("not sealed")
    del parsed[atomic.SEAL]
    return parsed


def _here() -> tuple[str, int]:
    return platform.node(), os.getpid()
