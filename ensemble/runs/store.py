"""A run directory: every path of it is named here, once, and everything in it is written through here."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ensemble.config import RunConfig
from ensemble.data.dataset import Dataset, DataSpec
from ensemble.errors import RunError
from ensemble.members.plan import MemberPlan
from ensemble.runs import atomic, lock
from ensemble.runs.atomic import Digest, Tensors
from ensemble.runs.records import (
    AverageRecord,
    CheckpointRecord,
    FailureRecord,
    FileRecord,
    MemberRecord,
    RunRecord,
)
from ensemble.training.events import Checkpoint, Failed, Finished, Origin, Predictor, TrainState, Weights

CHECKPOINTS_KEPT = 2

R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True)
class Resumable:
    """A checkpoint to go on from."""

    state: TrainState
    fingerprint: dict[str, Any]
    files: dict[str, Digest]
    """Predictors committed before it."""


class RunStore:
    """Reads and writes one run directory. Only the coordinator that holds the lock writes."""

    def __init__(self, root: Path, record: RunRecord, spec: DataSpec) -> None:
        self.root = root
        self.record = record
        self.spec = spec

    @classmethod
    def create(
        cls,
        root: Path,
        data: Dataset,
        *,
        config: RunConfig,
        functions: dict[str, str],
        parameters: int,
        versions: dict[str, str],
    ) -> RunStore:
        """Make a new run directory; ``config.json`` comes last, so a directory that has one is complete.

        Raises:
            RunError: the directory exists already or cannot be made.
        """
        if root.exists():
            raise RunError(
                f"run directory {str(root)!r} exists already; resume it, or name another with --run"
            )
        atomic.commit_json(root / "data.json", data.spec.model_dump(mode="json"))
        parts = ("train", "valid", "test")
        split = {part: data.rows(part) for part in parts}
        split |= {f"{part}_targets": data.y[data.rows(part)] for part in parts}
        targets = atomic.commit_tensors(root / "targets.safetensors", split)
        record = RunRecord(
            name=root.name,
            created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            config=config,
            data_sha256=data.spec.sha256,
            functions=functions,
            parameters=parameters,
            versions=versions,
            targets=_file(targets),
        )
        atomic.commit_json(root / "config.json", record.model_dump(mode="json"))
        return cls(root, record, data.spec)

    @classmethod
    def open(cls, root: Path) -> RunStore:
        """A run directory that ``create`` made.

        Raises:
            RunError: there is none, or it is damaged.
        """
        if not root.is_dir():
            raise RunError(f"there is no run directory {str(root)!r}")
        if not (root / "config.json").is_file():
            raise RunError(f"{str(root)!r} is no run directory: it has no config.json")
        record = _parse(RunRecord, root / "config.json")
        return cls(root, record, _parse(DataSpec, root / "data.json"))

    def grow(self, members: int) -> None:
        """Plan for more members; nothing else of the configuration changes."""
        config = self.record.config
        ensemble = config.ensemble.model_copy(update={"members": members})
        self.record = self.record.model_copy(
            update={"config": config.model_copy(update={"ensemble": ensemble})}
        )
        atomic.commit_json(self.root / "config.json", self.record.model_dump(mode="json"))

    # -- paths --

    def member_directory(self, index: int) -> Path:
        return self.root / "members" / f"{index:03d}"

    @property
    def report_json(self) -> Path:
        return self.root / "report.json"

    @property
    def _events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def _average(self) -> Path:
        return self.root / "combined" / "averaged.json"

    # -- the run --

    def hold(self) -> AbstractContextManager[None]:
        """The right to write."""
        return lock.hold(self.root / "lock")

    def holder(self) -> str | None:
        """The process that trains this run now, in words."""
        return lock.holder(self.root / "lock")

    def log(self, what: str, **details: Any) -> None:
        """Append one line to ``events.jsonl``; it is a diary, so it is not synced."""
        line = json.dumps({"time": round(time.time(), 3), "event": what, **details}) + "\n"
        descriptor = os.open(self._events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def events(self) -> Iterator[dict[str, Any]]:
        """The diary's lines; one that a crash cut short is passed over."""
        try:
            with self._events.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    try:
                        yield json.loads(line)
                    except ValueError:
                        continue
        except FileNotFoundError:
            return

    def targets(self) -> Tensors:
        """Index vectors ``train valid test`` and the targets ``train_targets …`` of the split.

        Raises:
            RunError: missing or not what was written.
        """
        path, file = self.root / "targets.safetensors", self.record.targets
        return atomic.read_tensors(path, _digest(file))

    # -- members --

    def save_predictor(self, predictor: Predictor) -> dict[str, Digest]:
        """Commit a predictor's weights and predictions; the member's manifest takes them up when it is done."""
        directory = self.member_directory(predictor.member)
        weights, predictions = _predictor_files(predictor.origin, predictor.index)
        files = {predictions: atomic.commit_tensors(directory / predictions, dict(predictor.predictions))}
        if predictor.weights is not None:
            files[weights] = atomic.commit_tensors(directory / weights, predictor.weights)
        return files

    def commit_member(
        self,
        plan: MemberPlan,
        finished: Finished,
        files: dict[str, Digest],
        *,
        attempts: int,
        fingerprints: Iterable[dict[str, Any]],
    ) -> MemberRecord:
        """Write the manifest: from here on the member is done. Its checkpoints and an old failure go."""
        directory = self.member_directory(plan.index)
        history = "".join(json.dumps(asdict(progress)) + "\n" for progress in finished.history)
        files = {**files, "history.jsonl": atomic.commit(directory / "history.jsonl", history.encode())}
        seen = list(fingerprints)
        record = MemberRecord(
            index=plan.index,
            plan_sha256=plan_digest(plan),
            attempts=attempts,
            epochs=len(finished.history),
            seconds=finished.seconds,
            predict_seconds_per_1000_rows=finished.predict_seconds_per_1000_rows,
            fingerprint=seen[-1],
            mixed=any(fingerprint != seen[0] for fingerprint in seen),
            files={name: _file(d) for name, d in sorted(files.items())},
        )
        atomic.commit_json(directory / "member.json", record.model_dump(mode="json"))
        (directory / "failure.json").unlink(missing_ok=True)
        for path in directory.glob("checkpoint-*"):
            path.unlink()
        return record

    def begin_member(self, plan: MemberPlan) -> None:
        """Commit the plan, before the member's first step; a failure of an earlier session is over."""
        (self.member_directory(plan.index) / "failure.json").unlink(missing_ok=True)
        atomic.commit_json(self.member_directory(plan.index) / "plan.json", plan.model_dump(mode="json"))

    def fail_member(self, index: int, failed: Failed, *, attempts: int) -> None:
        """Record that a member was given up."""
        record = FailureRecord(index=index, cause=failed.cause, attempts=attempts, evidence=failed.evidence)
        atomic.commit_json(self.member_directory(index) / "failure.json", record.model_dump(mode="json"))

    def member(self, index: int) -> MemberRecord | None:
        """The manifest of a finished member; None where there is none.

        Raises:
            RunError: it is there, but damaged.
        """
        return _parse_if_there(MemberRecord, self.member_directory(index) / "member.json")

    def failure(self, index: int) -> FailureRecord | None:
        """Why a member was given up; None where it was not."""
        return _parse_if_there(FailureRecord, self.member_directory(index) / "failure.json")

    def predictor_count(self, record: MemberRecord, origin: Origin) -> int:
        """How many predictors of that origin a finished member has."""
        if origin == "members":
            return 1
        return sum(f.startswith(f"{origin}/") and f.endswith(PREDICTIONS) for f in record.files)

    def weights(self, record: MemberRecord, origin: Origin = "members", index: int = 0) -> Weights:
        """A predictor's weights, verified against the member's manifest."""
        return self._tensors(record, _predictor_files(origin, index)[0])

    def predictions(self, record: MemberRecord, origin: Origin = "members", index: int = 0) -> Tensors:
        """What a predictor said of ``valid``, ``test`` and ``oob`` rows, verified likewise."""
        return self._tensors(record, _predictor_files(origin, index)[1])

    def history(self, record: MemberRecord) -> list[dict[str, Any]]:
        """One dictionary an epoch, as ``Progress`` has it."""
        path = self.member_directory(record.index) / "history.jsonl"
        content = atomic.read_verified(path, _digest_of(record, "history.jsonl"))
        return [json.loads(line) for line in content.splitlines()]

    def _tensors(self, record: MemberRecord, name: str) -> Tensors:
        return atomic.read_tensors(self.member_directory(record.index) / name, _digest_of(record, name))

    # -- checkpoints --

    def save_checkpoint(
        self, plan: MemberPlan, checkpoint: Checkpoint, fingerprint: dict[str, Any], files: dict[str, Digest]
    ) -> None:
        """Commit a checkpoint, manifest last; then all but the last two go.

        Args:
            plan: The member's.
            checkpoint: Where it stands.
            fingerprint: Of the attempt that made it.
            files: Predictors of the member committed so far.
        """
        directory, state = self.member_directory(plan.index), checkpoint.state
        path = directory / f"checkpoint-{state.step:09d}.safetensors"
        record = CheckpointRecord(
            index=plan.index,
            plan_sha256=plan_digest(plan),
            epoch=state.epoch,
            step=state.step,
            file=_file(atomic.commit_tensors(path, state.arrays)),
            files={name: _file(digest) for name, digest in files.items()},
            fingerprint=fingerprint,
            values=state.values,
        )
        atomic.commit_json(path.with_suffix(".json"), record.model_dump(mode="json"))
        for old in sorted(directory.glob("checkpoint-*.json"))[:-CHECKPOINTS_KEPT]:
            old.unlink()  # the manifest first: arrays without one are no checkpoint
            old.with_suffix(".safetensors").unlink(missing_ok=True)

    def last_checkpoint(self, plan: MemberPlan) -> Resumable | None:
        """The newest checkpoint that verifies, predictors sent before it included.

        Damaged ones are set aside as ``*.damaged``.
        """
        directory = self.member_directory(plan.index)
        for manifest in sorted(directory.glob("checkpoint-*.json"), reverse=True):
            arrays = manifest.with_suffix(".safetensors")
            try:
                record = _parse(CheckpointRecord, manifest)
                if record.plan_sha256 != plan_digest(plan):
                    raise RunError(f"{str(manifest)!r} belongs to another plan")
                tensors = atomic.read_tensors(arrays, _digest(record.file))
                files = {name: _digest(file) for name, file in record.files.items()}
                for name, digest in files.items():
                    atomic.read_verified(directory / name, digest)
            except RunError as error:
                for path in (manifest, arrays):
                    if path.exists():
                        path.replace(path.with_name(path.name + ".damaged"))
                self.log("checkpoint_damaged", member=plan.index, file=manifest.name, evidence=str(error))
                continue
            state = TrainState(record.epoch, record.step, tensors, record.values)
            return Resumable(state, record.fingerprint, files)
        return None

    # -- what was combined --

    def save_average(self, members: tuple[int, ...], weights: Weights, predictions: Tensors) -> None:
        """Commit the parameter average of these members, refreshed, and what it says of the run's rows."""
        directory = self._average.parent
        files = {
            "weights": atomic.commit_tensors(directory / "averaged.safetensors", weights),
            "predictions": atomic.commit_tensors(directory / "averaged.predictions.safetensors", predictions),
        }
        record = AverageRecord(
            members=members, weights=_file(files["weights"]), predictions=_file(files["predictions"])
        )
        atomic.commit_json(self._average, record.model_dump(mode="json"))

    def average(self) -> AverageRecord | None:
        """The parameter average's manifest; None where none was made."""
        return _parse_if_there(AverageRecord, self._average)

    def average_weights(self, record: AverageRecord) -> Weights:
        path = self._average.with_name("averaged.safetensors")
        return atomic.read_tensors(path, _digest(record.weights))

    def average_predictions(self, record: AverageRecord) -> Tensors:
        path = self._average.with_name("averaged.predictions.safetensors")
        return atomic.read_tensors(path, _digest(record.predictions))

    def save_report(self, report: dict[str, Any]) -> None:
        atomic.commit_json(self.report_json, report)

    def report(self) -> dict[str, Any]:
        """The report as last written.

        Raises:
            RunError: there is none yet, or it is damaged.
        """
        if not self.report_json.exists():
            raise RunError(f"run {str(self.root)!r} has no report yet; it is not finished")
        return atomic.read_json(self.report_json)


PREDICTIONS = ".predictions.safetensors"


def plan_digest(plan: MemberPlan) -> str:
    """SHA-256 of a plan's canonical JSON."""
    return atomic.content_digest(plan.model_dump(mode="json"))


def _predictor_files(origin: Origin, index: int) -> tuple[str, str]:
    if origin == "members":
        return "weights.safetensors", "predictions.safetensors"
    return f"{origin}/{index:02d}.safetensors", f"{origin}/{index:02d}{PREDICTIONS}"


def _digest_of(record: MemberRecord, name: str) -> Digest:
    if name not in record.files:
        raise RunError(
            f"member {record.index} has no file {name!r}; its manifest names {', '.join(record.files)}"
        )
    return _digest(record.files[name])


def _digest(file: FileRecord) -> Digest:
    return Digest(file.size, file.sha256)


def _file(digest: Digest) -> FileRecord:
    return FileRecord(size=digest.size, sha256=digest.sha256)


def _parse(kind: type[R], path: Path) -> R:
    try:
        return kind.model_validate(atomic.read_json(path))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise RunError(f"{str(path)!r} does not read as {kind.__name__}: {where}: {problem['msg']}") from None


def _parse_if_there(kind: type[R], path: Path) -> R | None:
    return _parse(kind, path) if path.exists() else None
