"""Checkpoints in a directory: committed manifest last, the last two kept, verified before anybody goes on from one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ensemble.errors import RunError
from ensemble.runs import atomic
from ensemble.runs.atomic import Digest, StrPath
from ensemble.runs.place import inside
from ensemble.runs.records import CheckpointRecord, read_record
from ensemble.training.events import TrainState

KEPT = 2


@dataclass(frozen=True)
class Resumable:
    """A checkpoint to go on from."""

    state: TrainState
    fingerprints: tuple[dict[str, Any], ...]
    """All under which it came about, in their order."""
    files: dict[str, Digest]
    """Predictors committed before it."""


class Checkpoints:
    """Those of one member, or of several that are trained together, in one directory."""

    def __init__(
        self,
        directory: Path,
        *,
        plan_sha256: str,
        files_in: Path,
        damaged: Callable[[str, str], None],
        plans: Iterable[StrPath] = (),
    ) -> None:
        """
        Args:
            directory: Where they lie; made with the first one.
            plan_sha256: Digest of what they belong to; one with another digest is not gone on from.
            files_in: Where the predictors lie that are committed before a checkpoint; their names begin there.
            damaged: Told the name of a checkpoint that was set aside, and why.
            plans: The files of what they belong to, which are durable before a checkpoint is there.
        """
        self.directory = directory
        self._plan_sha256 = plan_sha256
        self._files_in = files_in
        self._damaged = damaged
        self._plans = tuple(plans)

    def save(
        self, state: TrainState, fingerprints: Iterable[dict[str, Any]], files: dict[str, Digest]
    ) -> None:
        """Commit a checkpoint, manifest last; then all but the last two go.

        Args:
            state: Where training stands.
            fingerprints: All under which it came about, in their order.
            files: Predictors committed so far.
        """
        path = self.directory / f"checkpoint-{state.step:09d}.safetensors"
        record = CheckpointRecord(
            plan_sha256=self._plan_sha256,
            epoch=state.epoch,
            step=state.step,
            file=atomic.write_tensors(path, state.arrays),
            files=files,
            fingerprints=tuple(fingerprints),
            values=state.values,
        )
        names = (path, *self._plans, *(self._files_in / name for name in files))
        atomic.commit_json(path.with_suffix(".json"), record.model_dump(mode="json"), names=names)
        for old in self._manifests()[:-KEPT]:
            atomic.remove(old)  # the manifest first: arrays without one are no checkpoint
            atomic.remove(old.with_suffix(".safetensors"))

    def last(self) -> Resumable | None:
        """The newest checkpoint that verifies, predictors sent before it included.

        Damaged ones are set aside as ``*.damaged``.
        """
        for manifest in reversed(self._manifests()):
            try:
                return self._read(manifest)
            except RunError as error:
                for path in (manifest, manifest.with_suffix(".safetensors")):
                    if os.path.lexists(path):
                        atomic.set_aside(path)
                self._damaged(manifest.name, str(error))
        return None

    def set_aside(self) -> None:
        """Keep them under other names, and go on from none of them."""
        for path in self._files(".json", ".safetensors"):
            atomic.set_aside(path)

    def remove(self) -> None:
        """Nobody will go on from them: what they led to is done."""
        for path in self._files(""):
            atomic.remove(path)

    def _manifests(self) -> list[Path]:
        """Oldest first."""
        return self._files(".json")

    def _files(self, *endings: str) -> list[Path]:
        """Of checkpoints, oldest first; none where there is no such directory."""
        try:
            names = os.listdir(self.directory)
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = (name for name in names if name.startswith("checkpoint-") and name.endswith(endings))
        return [self.directory / name for name in sorted(found)]

    def _read(self, manifest: Path) -> Resumable:
        record = read_record(CheckpointRecord, manifest)
        if record.plan_sha256 != self._plan_sha256:
            raise RunError(f"{str(manifest)!r} belongs to another plan")
        arrays = atomic.read_tensors(manifest.with_suffix(".safetensors"), record.file)
        for name, expected in record.files.items():
            atomic.read_verified(inside(os.fspath(self._files_in), name), expected)
        state = TrainState(record.epoch, record.step, arrays, record.values)
        return Resumable(state, record.fingerprints, record.files)
