"""Everything a resume needs, as arrays and plain values: no pickle, nothing that only torch can read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ensemble.members.plan import MemberPlan
from ensemble.training.events import Progress, TrainState, Weights
from ensemble.training.networks import load_weights, weights_of
from ensemble.training.rows import to_numpy


@dataclass
class Trajectory:
    """Where a member stands, besides its network and optimizer."""

    epoch: int = 0
    """Epochs that are over."""
    step_of_epoch: int = 0
    step: int = 0
    """Steps of the whole run so far."""
    loss_sum: float = 0.0
    norm_sum: float = 0.0
    clipped_steps: int = 0
    """Of the epoch under way."""
    lr: float = 0.0
    epoch_seconds: float = 0.0
    best_loss: float = float("inf")
    epochs_since_best: int = 0
    best: Weights | None = None
    averaged: Weights | None = None
    """Mean of the weights at the ends of the last epochs, in float64 where they are floating-point."""
    averaged_epochs: int = 0
    history: list[Progress] = field(default_factory=list)

    def values(self) -> dict[str, Any]:
        """All but the weights, as plain values."""
        values = {key: value for key, value in vars(self).items() if key not in ("best", "averaged")}
        if not np.isfinite(self.best_loss):
            values["best_loss"] = None  # JSON has no infinity
        return values | {"history": [asdict(progress) for progress in self.history]}

    @classmethod
    def of(cls, values: dict[str, Any], *, best: Weights | None, averaged: Weights | None) -> Trajectory:
        """The trajectory whose ``values`` these are."""
        loss = values["best_loss"]
        history = [Progress(**record) for record in values["history"]]
        known = {"best_loss": float("inf") if loss is None else loss, "history": history}
        return cls(**{**values, **known}, best=best, averaged=averaged)

    def is_patience_over(self, early_stop: int | None) -> bool:
        """Whether as many epochs went by without a better validation loss as are allowed."""
        return early_stop is not None and self.epochs_since_best >= early_stop

    def count_step(self, loss: float, norm: float, clipped: bool, lr: float, *, seconds: float) -> None:
        self.step += 1
        self.step_of_epoch += 1
        self.loss_sum += loss
        self.norm_sum += norm
        self.clipped_steps += clipped
        self.lr = lr
        self.epoch_seconds += seconds

    def note_validation(self, loss: float, weights: Weights | None) -> None:
        """``weights`` are given where the epoch is the best so far."""
        if weights is None:
            self.epochs_since_best += 1
        else:
            self.best_loss, self.best, self.epochs_since_best = loss, weights, 0

    def add_to_average(self, weights: Weights) -> None:
        """w̄ ← w̄ + (w − w̄)/n over floating-point entries; counters are the last epoch's   (arXiv 1803.05407)."""
        before = self.averaged or {}
        self.averaged_epochs += 1
        self.averaged = {
            name: before.get(name, 0.0)
            + (value.astype(np.float64) - before.get(name, 0.0)) / self.averaged_epochs
            if np.issubdtype(value.dtype, np.floating)
            else value
            for name, value in weights.items()
        }

    def end_epoch(
        self, plan: MemberPlan, *, steps: int, rows: int, valid_loss: float | None, metric: float | None
    ) -> Progress:
        """Close the epoch's sums into a line of the history and begin the next."""
        progress = Progress(
            member=plan.index,
            epoch=self.epoch + 1,
            epochs=plan.train.epochs,
            loss=self.loss_sum / steps,
            metric=metric,
            valid_loss=valid_loss,
            lr=self.lr,
            grad_norm=self.norm_sum / steps,
            clipped=self.clipped_steps / steps,
            seconds=self.epoch_seconds,
            rows=rows,
        )
        self.history.append(progress)
        self.epoch += 1
        self.step_of_epoch = self.clipped_steps = 0
        self.loss_sum = self.norm_sum = self.epoch_seconds = 0.0
        return progress


def capture(net: nn.Module, optimizer: torch.optim.Optimizer, trajectory: Trajectory) -> TrainState:
    """The state between two steps; ``restore`` into a fresh network continues bit for bit."""
    slots, values = optimizer_state(optimizer)
    arrays = {f"net.{name}": value for name, value in weights_of(net).items()} | slots
    arrays |= {f"best.{name}": value for name, value in (trajectory.best or {}).items()}
    arrays |= {f"averaged.{name}": value for name, value in (trajectory.averaged or {}).items()}
    arrays["rng.cpu"] = to_numpy(torch.get_rng_state())
    if next(net.parameters()).is_cuda:
        arrays["rng.cuda"] = to_numpy(torch.cuda.get_rng_state())
    values = {**trajectory.values(), "optimizer": values}
    return TrainState(trajectory.epoch, trajectory.step, arrays, values)


def restore(state: TrainState, net: nn.Module, optimizer: torch.optim.Optimizer) -> Trajectory:
    """Put a captured state back; the network and the optimizer are those of the same plan, freshly made."""
    load_weights(net, entries(state, "net."))
    restore_optimizer(state, optimizer)
    torch.set_rng_state(torch.from_numpy(np.array(state.arrays["rng.cpu"])))
    if "rng.cuda" in state.arrays and next(net.parameters()).is_cuda:
        torch.cuda.set_rng_state(torch.from_numpy(np.array(state.arrays["rng.cuda"])))
    return Trajectory.of(
        {key: value for key, value in state.values.items() if key != "optimizer"},
        best=entries(state, "best.") or None,
        averaged=entries(state, "averaged.") or None,
    )


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[Weights, dict[str, Any]]:
    """What an optimizer remembers: arrays ``optimizer.<parameter>.<slot>``, and the rest as plain values."""
    arrays, values = {}, {}
    for index, slots in optimizer.state_dict()["state"].items():
        for slot, value in slots.items():
            if isinstance(value, Tensor):
                arrays[f"optimizer.{index}.{slot}"] = to_numpy(value)
            elif value is not None:
                values[f"{index}.{slot}"] = value
    return arrays, values


def restore_optimizer(state: TrainState, optimizer: torch.optim.Optimizer) -> None:
    """Give a fresh optimizer the memory that ``optimizer_state`` took."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots: dict[int, dict[str, Any]] = {}
    for name, array in entries(state, "optimizer.").items():
        index, slot = name.split(".", 1)
        slots.setdefault(int(index), {})[slot] = _laid_out_like(parameters[int(index)], array)
    for name, value in state.values["optimizer"].items():
        index, slot = name.split(".", 1)
        slots.setdefault(int(index), {})[slot] = value
    if slots:
        optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})


def _laid_out_like(parameter: Tensor, array: NDArray[Any]) -> Tensor:
    """Fused optimizers walk memory, not indices: a slot must lie in memory as its parameter does."""
    value: Tensor = torch.from_numpy(np.array(array))
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


def entries(state: TrainState, prefix: str) -> Weights:
    """The arrays whose names begin so, by the rest of their names."""
    return {
        name.removeprefix(prefix): value for name, value in state.arrays.items() if name.startswith(prefix)
    }
