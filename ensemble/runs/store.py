"""A run directory: every path of it is named here, once, and everything in it is written through here."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from ensemble.config import RunConfig
from ensemble.data.dataset import Dataset, DataSpec
from ensemble.errors import RunError
from ensemble.members.plan import MemberPlan, outputs_of, plan_members
from ensemble.members.resampling import unseen_rows
from ensemble.runs import atomic, diary, lock
from ensemble.runs.atomic import Digest, Tensors
from ensemble.runs.averages import IMAGES, Averages
from ensemble.runs.checkpoints import Checkpoints
from ensemble.runs.contents import check_history, check_predictions, check_split, check_weights
from ensemble.runs.place import check_place, inside, refuse_link
from ensemble.runs.records import (
    PREDICTIONS,
    WEIGHTS,
    FailureRecord,
    MemberRecord,
    RunRecord,
    read_record,
    read_record_if_there,
)
from ensemble.training.events import Finished, Origin, Predictor, Weights

HISTORY, PLAN = "history.jsonl", "plan.json"


class RunStore:
    """Reads and writes one run directory. Only the coordinator that holds the lock writes."""

    def __init__(self, root: Path, record: RunRecord, spec: DataSpec) -> None:
        self.root = root
        self._members, self._events = os.fspath(root / "members"), root / "events.jsonl"
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
        check_place(root)
        atomic.commit_json(root / "data.json", data.spec.model_dump(mode="json"))
        targets = atomic.write_tensors(root / "targets.safetensors", _split(data))
        record = RunRecord(
            name=root.name,
            created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            config=config,
            data_sha256=data.spec.sha256,
            functions=functions,
            parameters=parameters,
            cohorts=(config.ensemble.members,),
            versions=versions,
            targets=targets,
        )
        names = (root / "targets.safetensors",)
        atomic.commit_json(root / "config.json", record.model_dump(mode="json"), names=names)
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
            raise RunError(
                f"{str(root)!r} is no run directory: it has no config.json. If `ensemble train` was making it when it "
                "died, nothing was trained yet: remove it and train again"
            )
        for name in ("members", "stacks", "combined"):
            refuse_link(root / name)
        record, spec = read_record(RunRecord, root / "config.json"), read_record(DataSpec, root / "data.json")
        if spec.sha256 != record.data_sha256:
            raise RunError(f"{str(root / 'data.json')!r} belongs to other data than config.json says")
        return cls(root, record, spec)

    def grow(self, members: int) -> None:
        """Plan for more members; nothing else of the configuration changes."""
        config = self.record.config
        ensemble = config.ensemble.model_copy(update={"members": members})
        self.record = self.record.model_copy(
            update={
                "config": config.model_copy(update={"ensemble": ensemble}),
                "cohorts": (*self.record.cohorts, members - config.ensemble.members),
            }
        )
        self.__dict__.pop("plans", None)
        atomic.commit_json(self.root / "config.json", self.record.model_dump(mode="json"))

    @cached_property
    def plans(self) -> tuple[MemberPlan, ...]:
        """Of all members, by index."""
        return plan_members(self.record.config, self.spec, cohorts=self.record.cohorts)

    # -- paths --

    def member_directory(self, index: int) -> Path:
        return Path(self._member_file(index, PLAN)).parent

    def _member_file(self, index: int, name: str) -> str:
        return inside(self._members, f"{index:03d}/{name}")

    @property
    def report_json(self) -> Path:
        return self.root / "report.json"

    @property
    def report_html(self) -> Path:
        return self.root / "report.html"

    @property
    def row_images(self) -> Path:
        """Of the test rows that the report shows; its manifest has the ending ``.json``."""
        return self.root / "combined" / f"{IMAGES}.safetensors"

    # -- the run --

    def hold(self) -> AbstractContextManager[None]:
        """The right to write."""
        return lock.hold(self.root / "lock")

    def holder(self) -> str | None:
        """The process that trains this run now, in words."""
        return lock.holder(self.root / "lock")

    def log(self, what: str, **details: Any) -> None:
        """Append one line to the diary, ``events.jsonl``."""
        diary.append(self._events, what, details)

    def events(self) -> Iterator[dict[str, Any]]:
        """The diary's lines, as `diary.read` has them."""
        return diary.read(self._events)

    def sweep(self) -> None:
        """Clear away the temporary files that a crash left: they were never committed."""
        for path in sorted(self.root.rglob(f"*{atomic.TEMPORARY}")):
            atomic.remove(path)

    def targets(self) -> Tensors:
        """Index vectors ``train valid test`` and the targets ``train_targets …`` of the split.

        Raises:
            RunError: missing or not what was written.
        """
        return check_split(self._targets, atomic.read_tensors(self._targets, self.record.targets))

    def restore_targets(self, data: Dataset) -> None:
        """Write the split and its targets again where they are damaged; the run's own data give the same bytes."""
        try:
            self.targets()
        except RunError as error:
            aside = atomic.set_aside(self._targets).name if os.path.lexists(self._targets) else None
            if atomic.write_tensors(self._targets, _split(data)) != self.record.targets:
                raise
            atomic.sync_directory(self.root)
            self.log("targets_restored", evidence=str(error), aside=aside)

    @property
    def _targets(self) -> Path:
        return self.root / "targets.safetensors"

    # -- members --

    def save_predictor(self, predictor: Predictor) -> dict[str, Digest]:
        """Write a predictor's weights and predictions; the manifest that takes them up makes their names durable."""
        member = predictor.member
        weights, predictions = predictor_files(predictor.origin, predictor.index)
        path = self._member_file(member, predictions)
        files = {predictions: atomic.write_tensors(path, dict(predictor.predictions))}
        if predictor.weights is not None:
            files[weights] = atomic.write_tensors(self._member_file(member, weights), predictor.weights)
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
        lines = [atomic.json_line(vars(progress)) + b"\n" for progress in finished.history]
        history = atomic.write(self._member_file(plan.index, HISTORY), b"".join(lines))
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
            files=dict(sorted({**files, HISTORY: history}.items())),
        )
        manifest = self._member_file(plan.index, "member.json")
        names = [f"{os.path.dirname(manifest)}/{name}" for name in (PLAN, *record.files)]
        atomic.commit_json(manifest, record.model_dump(mode="json"), names=names)
        self.forget_attempts(plan)
        return record

    def forget_attempts(self, plan: MemberPlan) -> None:
        """Remove what a finished member needs no longer: checkpoints and an old failure."""
        atomic.remove(self._member_file(plan.index, "failure.json"))
        self.checkpoints(plan).remove()

    def forget_stack(self, plans: Sequence[MemberPlan]) -> None:
        """Remove the checkpoints of members trained together, once all of them are done."""
        if len(plans) > 1 and len(list(self.with_manifest(plan.index for plan in plans))) == len(plans):
            self.checkpoints(*plans).remove()

    def begin_member(self, plan: MemberPlan) -> None:
        """Write the plan, before the member's first step; a failure of an earlier session is over.

        Whatever is committed of the member makes the plan's name durable with it.
        """
        atomic.remove(self._member_file(plan.index, "failure.json"))
        atomic.write_json(self._plan(plan.index), plan.model_dump(mode="json"))

    def begun(self, index: int) -> dict[str, Any] | None:
        """The plan that a member was begun with, as ``plan.json`` has it; None where there is none.

        Raises:
            RunError: it is there, but damaged.
        """
        return atomic.read_json(self._plan(index)) if os.path.lexists(self._plan(index)) else None

    def _plan(self, index: int) -> str:
        return self._member_file(index, PLAN)

    def fail_member(self, index: int, *, cause: str, evidence: str, attempts: int) -> None:
        """Record that a member was given up."""
        record = FailureRecord(index=index, cause=cause, attempts=attempts, evidence=evidence)
        atomic.commit_json(self._member_file(index, "failure.json"), record.model_dump(mode="json"))

    def with_manifest(self, members: Iterable[int]) -> Iterator[int]:
        """Which of these members say that they are done; nothing is read."""
        return (index for index in members if os.path.exists(self._member_file(index, "member.json")))

    def member(self, index: int) -> MemberRecord | None:
        """The manifest of a finished member; None where there is none.

        Raises:
            RunError: it is there, but damaged or another member's.
        """
        path = self._member_file(index, "member.json")
        record = read_record_if_there(MemberRecord, path)
        if record is not None and record.index != index:
            raise RunError(f"{path!r} belongs to member {record.index}")
        return record

    def check_sizes(self, record: MemberRecord) -> None:
        """See that every file of a finished member is there and has its size; reads none of them.

        Raises:
            RunError: one has not.
        """
        for name, expected in record.files.items():
            atomic.check_size(self._member_file(record.index, name), expected)

    def check_digests(self, record: MemberRecord) -> None:
        """See that every file of a finished member is what its manifest says.

        Raises:
            RunError: one is not.
        """
        for name, expected in record.files.items():
            atomic.read_verified(self._member_file(record.index, name), expected)

    def set_member_aside(self, index: int, *, evidence: str) -> None:
        """Keep a damaged member under another name, to train it again; what was combined of it goes with it."""
        aside = atomic.set_aside(self.member_directory(index))
        self.log("member_damaged", member=index, aside=aside.name, evidence=evidence)
        self.averages.set_all_aside()

    def failure(self, index: int) -> FailureRecord | None:
        """Why a member was given up; None where it was not."""
        return read_record_if_there(FailureRecord, self._member_file(index, "failure.json"))

    def predictor_count(self, record: MemberRecord, origin: Origin) -> int:
        """How many predictors of that origin a finished member has."""
        if origin == "members":
            return 1
        return len([f for f in record.files if f.startswith(f"{origin}/") and f.endswith(PREDICTIONS)])

    def weights(self, record: MemberRecord, origin: Origin = "members", index: int = 0) -> Weights:
        """A predictor's weights, verified against the member's manifest."""
        path, tensors = self._tensors(record, predictor_files(origin, index)[0])
        return check_weights(path, tensors)

    def predictions(self, record: MemberRecord, origin: Origin = "members", index: int = 0) -> Tensors:
        """What a predictor said of ``valid``, ``test`` and ``oob`` rows, verified likewise."""
        path, tensors = self._tensors(record, predictor_files(origin, index)[1])
        rows, outputs = self._rows_of(record.index), outputs_of(self.record.config, self.spec)
        return check_predictions(path, tensors, rows=rows, outputs=outputs)

    def history(self, record: MemberRecord) -> list[dict[str, Any]]:
        """One dictionary an epoch, as ``Progress`` has it."""
        path = self._member_file(record.index, HISTORY)
        content = atomic.read_verified(path, record.digest(HISTORY))
        try:
            return check_history(path, [json.loads(line) for line in content.splitlines()])
        except (ValueError, RecursionError) as error:
            raise RunError(f"{path!r} is damaged: {error}") from None

    def _tensors(self, record: MemberRecord, name: str) -> tuple[str, Tensors]:
        path = self._member_file(record.index, name)
        return path, atomic.read_tensors(path, record.digest(name))

    def _rows_of(self, index: int) -> dict[str, int]:
        """How many rows a member's predictions are of, by part."""
        rows = {part: len(self._rows[part]) for part in ("valid", "test")}
        if self.record.config.ensemble.resample == "bootstrap":
            unseen = unseen_rows(self.plans[index], self._rows["train"])
            rows["oob"] = 0 if unseen is None else len(unseen)
        return rows

    @cached_property
    def _rows(self) -> Tensors:
        return self.targets()

    # -- what training goes on from, and what was combined --

    def checkpoints(self, *plans: MemberPlan) -> Checkpoints:
        """Those of a member; or, of several that are trained together, those of their stack."""
        if len(plans) == 1:
            directory = files_in = self.member_directory(plans[0].index)
            digest = plan_digest(plans[0])
        else:
            directory = self.root / "stacks" / f"{plans[0].name}-{plans[-1].name}"
            refuse_link(directory)
            files_in = self.root / "members"
            digest = atomic.content_digest({"plans": [plan_digest(plan) for plan in plans]})

        def damaged(file: str, evidence: str) -> None:
            for plan in plans:
                self.log("checkpoint_damaged", member=plan.index, file=file, evidence=evidence)

        begun = [self._plan(plan.index) for plan in plans]
        return Checkpoints(directory, plan_sha256=digest, files_in=files_in, damaged=damaged, plans=begun)

    @property
    def averages(self) -> Averages:
        return Averages(self.root / "combined")

    def set_damaged_averages_aside(self) -> None:
        """Keep what was combined and does not verify under another name; it is made again from the members."""
        self.averages.set_damaged_aside(
            lambda aside, evidence: self.log("average_damaged", aside=aside, evidence=evidence)
        )

    # -- the report --

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


@lru_cache(maxsize=1000)
def plan_digest(plan: MemberPlan) -> str:
    """SHA-256 of a plan's canonical JSON."""
    return atomic.content_digest(plan.model_dump(mode="json"))


def predictor_files(origin: Origin, index: int) -> tuple[str, str]:
    """A predictor's weights and its predictions, from its member's directory."""
    if origin == "members":
        return "weights.safetensors", "predictions.safetensors"
    return f"{origin}/{index:02d}{WEIGHTS}", f"{origin}/{index:02d}{PREDICTIONS}"


def _split(data: Dataset) -> Tensors:
    parts = ("train", "valid", "test")
    return {part: data.rows(part) for part in parts} | {
        f"{part}_targets": data.y[data.rows(part)] for part in parts
    }
