"""What the JSON files of a run directory hold, checked when read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ensemble.config import RunConfig
from ensemble.training.events import Origin


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
"""A run or a file: no separators, nothing hidden, no ``..``, no option; short enough for every file system."""

Name = Annotated[str, Field(pattern=rf"^{NAME}$")]
FileName = Annotated[str, Field(pattern=rf"^{NAME}(/{NAME})?$")]
"""A file of a member, from the member's directory, in it or one below."""


class FileRecord(Record):
    """One file as a manifest has it."""

    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class RunRecord(Record):
    """``config.json``: what was asked for, resolved, and what it was asked of."""

    format: Literal[1] = 1
    name: Name
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
    files: dict[FileName, FileRecord]


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
    files: dict[FileName, FileRecord]
    """Predictors that were committed before it, such as snapshots: going on from here does not send them again."""
    fingerprints: tuple[dict[str, Any], ...]
    """All under which it came about: an earlier session's count, also where this one's made the checkpoint."""
    values: dict[str, Any]


@dataclass(frozen=True)
class Average:
    """A network whose parameters are the mean of others': which, and how they were brought together."""

    name: str
    """Of its files under ``combined/``: ``averaged``, ``unmatched``, ``greedy``, ``snapshots-000``."""
    origin: Origin
    networks: tuple[tuple[int, int], ...]
    """Member and index of each predictor that went in."""
    matched: bool = False
    candidates: tuple[tuple[int, int], ...] = ()
    """Of a greedy soup: the networks it chose from."""


class AverageRecord(Record):
    """``combined/<name>.json``: the same, and its two files."""

    format: Literal[1] = 1
    name: Name
    origin: Origin
    networks: tuple[tuple[int, int], ...]
    matched: bool
    candidates: tuple[tuple[int, int], ...]
    weights: FileRecord
    predictions: FileRecord


class ImagesRecord(Record):
    """``combined/rows.json``: the test rows whose images are kept for the report, and the file of the images."""

    format: Literal[1] = 1
    rows: tuple[int, ...]
    file: FileRecord
