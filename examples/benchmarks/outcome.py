"""What a contender says when it is done, in one file: times by the clock, and the accuracy that it reached."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Outcome:
    """Attributes:
    begun, ended: Of training, in seconds since the epoch: from before the first step to after the last one.
        None where nothing is trained.
    measures: Anything else that was measured, by name.
    """

    begun: float | None
    ended: float | None
    measures: Mapping[str, float] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Outcome:
        """What was written."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def accuracies(probabilities: NDArray[Any], y: NDArray[np.int64]) -> dict[str, float]:
    """Test accuracy of the mean member and of the members' average.

    Args:
        probabilities: ``(members, rows, classes)``.
        y: ``(rows,)`` class indices.

    Raises:
        ValueError: values that are no probabilities, or two members that say the same of every row: one seed for
            all, which no accuracy would show.
    """
    if probabilities.min() < 0 or not np.allclose(probabilities.sum(axis=-1), 1, atol=1e-4):
        raise ValueError(
            "the members' outputs are negative or do not add up to 1: these are no probabilities"
        )
    distinct = len(np.unique(probabilities.reshape(len(probabilities), -1), axis=0))
    if distinct < len(probabilities):
        raise ValueError(f"of {len(probabilities)} members only {distinct} differ: they were seeded alike")
    return {
        "member_accuracy": float((probabilities.argmax(axis=-1) == y).mean()),
        "ensemble_accuracy": float((probabilities.mean(axis=0).argmax(axis=-1) == y).mean()),
    }
