"""Averages of parameters in a run directory: weights, what they say of the run's rows, manifest last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ensemble.errors import RunError
from ensemble.runs import atomic
from ensemble.runs.atomic import Tensors
from ensemble.runs.records import (
    PREDICTIONS,
    WEIGHTS,
    Average,
    AverageRecord,
    read_record_if_there,
)
from ensemble.training.events import Weights

IMAGES = "rows"
"""What lies under this name beside the averages are the images of rows that the report shows."""


class Averages:
    """Those of one run, by name: ``averaged``, ``unmatched``, ``greedy``, ``snapshots-000``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, average: Average, weights: Weights, predictions: Tensors) -> None:
        """Commit one, refreshed, and what it says of the run's rows."""
        said, w = self._file(average.name, PREDICTIONS), self._file(average.name, WEIGHTS)
        record = AverageRecord(
            **vars(average),
            weights=atomic.write_tensors(w, weights),
            predictions=atomic.write_tensors(said, predictions),
        )
        manifest = self._file(average.name, ".json")
        atomic.commit_json(manifest, record.model_dump(mode="json"), names=(w, said))

    def get(self, name: str) -> AverageRecord | None:
        """Its manifest; None where none was made.

        Raises:
            RunError: it is there, but damaged.
        """
        return read_record_if_there(AverageRecord, self._file(name, ".json"))

    def weights(self, record: AverageRecord) -> Weights:
        """Verified."""
        return atomic.read_tensors(self._file(record.name, WEIGHTS), record.weights)

    def predictions(self, record: AverageRecord) -> Tensors:
        """What it said of ``valid`` and ``test`` rows, verified."""
        return atomic.read_tensors(self._file(record.name, PREDICTIONS), record.predictions)

    def set_damaged_aside(self, damaged: Callable[[str, str], None]) -> None:
        """Keep what does not verify under another name; it is made again from the members.

        Args:
            damaged: Told the new name of a manifest, and why.
        """
        for manifest in self._manifests():
            try:
                if manifest.stem == IMAGES:
                    atomic.read_json(manifest)
                elif (record := self.get(manifest.stem)) is not None:
                    self.weights(record)
                    self.predictions(record)
            except RunError as error:
                damaged(atomic.set_aside(manifest).name, str(error))

    def set_all_aside(self) -> None:
        """Keep all of them under other names: a member that went into them was damaged."""
        for manifest in self._manifests():
            atomic.set_aside(manifest)

    def _manifests(self) -> list[Path]:
        return sorted(self._directory.glob("*.json"))

    def _file(self, name: str, ending: str) -> Path:
        return self._directory / f"{name}{ending}"
