"""What the JSON files of a run directory hold, checked when read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ensemble.config import RunConfig
from ensemble.errors import RunError
from ensemble.runs import atomic
from ensemble.runs.atomic import Digest, StrPath
from ensemble.training.events import Origin

R = TypeVar("R", bound=BaseModel)


def read_record(kind: type[R], path: StrPath) -> R:
    """What a JSON file of a run holds.

    Raises:
        RunError: missing, damaged, or not of that kind.
    """
    try:
        return kind.model_validate(atomic.read_json(path))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise RunError(
            f"{os.fspath(path)!r} does not read as {kind.__name__}: {where}: {problem['msg']}"
        ) from None


def read_record_if_there(kind: type[R], path: StrPath) -> R | None:
    """The same; None where there is no such file."""
    return read_record(kind, path) if os.path.lexists(path) else None


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
"""A run or a file: no separators, nothing hidden, no ``..``, no option; short enough for every file system."""

Name = Annotated[str, Field(pattern=rf"^{NAME}$")]
FileName = Annotated[str, Field(pattern=rf"^{NAME}(/{NAME})?$")]
"""A file of a member, from the member's directory, in it or one below."""

WEIGHTS, PREDICTIONS = ".safetensors", ".predictions.safetensors"
"""Endings of a predictor's two files."""


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
    cohorts: tuple[int, ...]
    """Members that it began with, and those added each time it grew."""
    versions: dict[str, str]
    targets: Digest
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
    files: dict[FileName, Digest]

    def digest(self, name: str) -> Digest:
        """What is said of one of its files.

        Raises:
            RunError: there is none of that name.
        """
        if name not in self.files:
            raise RunError(
                f"member {self.index} has no file {name!r}; its manifest names {', '.join(self.files)}"
            )
        return self.files[name]


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
    plan_sha256: str
    """Of the member's plan; of all the plans, where members are trained together."""
    epoch: int
    step: int
    file: Digest
    files: dict[Annotated[str, Field(pattern=rf"^{NAME}(/{NAME}){{0,2}}$")], Digest]
    """Predictors that were committed before it, such as snapshots: going on from here does not send them again. Their
    names begin in the member's directory; where members are trained together, in that of all members."""
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
    weights: Digest
    predictions: Digest


class ImagesRecord(Record):
    """``combined/rows.json``: the test rows whose images are kept for the report, and the file of the images."""

    format: Literal[1] = 1
    rows: tuple[int, ...]
    file: Digest
