"""What the JSON files of a run directory hold, checked when read."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ensemble.config import RunConfig


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRecord(Record):
    """One file as a manifest has it."""

    size: int
    sha256: str


class RunRecord(Record):
    """``config.json``: what was asked for, resolved, and what it was asked of."""

    format: Literal[1] = 1
    name: str
    created: str
    config: RunConfig
    data_sha256: str
    functions: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the file that defines each MODULE:FUNCTION in the configuration."""
    parameters: int
    """Of one member's network."""
    versions: dict[str, str]
    targets: FileRecord
    """``targets.safetensors``: the split and the targets."""


class MemberRecord(Record):
    """``member.json``: written last; its presence means that the member is done."""

    format: Literal[1] = 1
    index: int
    plan_sha256: str
    attempts: int
    epochs: int
    seconds: float
    predict_seconds_per_1000_rows: float
    fingerprint: dict[str, Any]
    mixed: bool = False
    """Whether attempts ran under different fingerprints."""
    files: dict[str, FileRecord]


class FailureRecord(Record):
    """``failure.json``: a member that was given up, and why."""

    format: Literal[1] = 1
    index: int
    cause: str
    attempts: int
    evidence: str


class CheckpointRecord(Record):
    """Beside a checkpoint's arrays; its rename is the commit."""

    format: Literal[1] = 1
    index: int
    plan_sha256: str
    epoch: int
    step: int
    file: FileRecord
    files: dict[str, FileRecord]
    """Predictors that were committed before it, such as snapshots: going on from here does not send them again."""
    fingerprint: dict[str, Any]
    values: dict[str, Any]


class AverageRecord(Record):
    """``combined/averaged.json``: a parameter average, whose members it is of, and its two files."""

    format: Literal[1] = 1
    members: tuple[int, ...]
    weights: FileRecord
    predictions: FileRecord
