"""What is run: the cases. Plain data; nothing here imports more than the standard library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ROWS_PREDICTED = (1, 100, 10_000)


@dataclass(frozen=True)
class Case:
    """One piece of work that every contender does.

    Attributes:
        kind: ``train`` counts the whole of training, ``start`` the way to the first step, ``predict`` predictions
            with members trained before.
        source: ``digits`` or ``fashion-mnist``.
        rows: Training rows taken from it; None for all.
        network: A function of ``networks.py``.
        options: The same network as options of ``ensemble train``.
    """

    name: str
    kind: Literal["train", "start", "predict"]
    source: str
    rows: int | None
    network: str
    options: tuple[str, ...]
    members: int
    epochs: int
    batch_size: int
    lr: float = 0.05
    momentum: float = 0.9

    @property
    def described(self) -> str:
        """In a line."""
        rows = "all" if self.rows is None else f"{self.rows:,}"
        return (
            f"{self.name}: members {self.members} ({self.network}), epochs {self.epochs}, {rows} rows of "
            f"{self.source}, batch {self.batch_size}, SGD at {self.lr:g} with momentum {self.momentum:g}"
        )

    @property
    def shows(self) -> tuple[str, ...]:
        """The measures that are set against the baseline and the best peer."""
        if self.kind == "predict":
            return tuple(f"ms_{rows}_rows" for rows in ROWS_PREDICTED)
        return ("start_seconds",) if self.kind == "start" else ("training_seconds", "whole_seconds")

    @property
    def baseline(self) -> str:
        """The contender that stands for what the machine can do, or for the plain way."""
        return {"train": "bound", "start": "ray-and-torch", "predict": "loop"}[self.kind]


MLP = ("--net", "mlp", "--hidden", "256,256", "--dropout", "0.1")
SMALL = ("--net", "mlp", "--hidden", "64,64", "--dropout", "0.1")
CONV = ("--net", "convnet", "--hidden", "16,32", "--dropout", "0.1")

FULL = (
    Case("mlp", "train", "fashion-mnist", 60_000, "mlp256", MLP, members=4, epochs=5, batch_size=256),
    Case("conv", "train", "fashion-mnist", 10_000, "convnet", CONV, members=2, epochs=1, batch_size=256),
    Case("small16", "train", "fashion-mnist", 2_000, "mlp256", MLP, members=16, epochs=1, batch_size=256),
    Case("small100", "train", "digits", None, "mlp64", SMALL, members=100, epochs=10, batch_size=64),
    Case("start", "start", "digits", None, "mlp64", SMALL, members=2, epochs=1, batch_size=64),
    Case("predict5", "predict", "digits", None, "mlp64", SMALL, members=5, epochs=2, batch_size=64),
    Case("predict100", "predict", "digits", None, "mlp64", SMALL, members=100, epochs=2, batch_size=64),
)
QUICK = (
    Case("small", "train", "digits", 300, "mlp64", SMALL, members=4, epochs=2, batch_size=64),
    Case("start", "start", "digits", 300, "mlp64", SMALL, members=2, epochs=1, batch_size=64),
    Case("predict", "predict", "digits", 300, "mlp64", SMALL, members=3, epochs=1, batch_size=64),
)
"""To see that everything runs; their times mean nothing."""
