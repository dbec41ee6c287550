"""Training several members as one: what `loop.py` does, step by step, for a stack of networks (`torch.func`).

Members keep apart whatever makes them differ: initialization, order of rows, bootstrap, dropout masks, clipping,
divergence and patience. Each agrees with the member trained by itself to rounding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ensemble.data.dataset import Dataset, Rows
from ensemble.members.plan import MemberPlan
from ensemble.members.resampling import training_rows
from ensemble.nets.stacking import NetStack
from ensemble.streams import Purpose, generator, member_sequence, torch_seed
from ensemble.training.augmentation import black, draw_moves, moved
from ensemble.training.clipping import clip_each
from ensemble.training.criterion import Criterion
from ensemble.training.events import Alive, Checkpoint, Diverged, Event, Started, TrainState, Weights
from ensemble.training.fingerprint import fingerprint, whereabouts
from ensemble.training.loop import (
    SECONDS_BETWEEN_SIGNS,
    conclude,
    evidence,
    figures_of,
    sums_of,
    watched_rows,
)
from ensemble.training.losses import loss_function
from ensemble.training.networks import channels_last, choose_device, load_weights, make_net
from ensemble.training.optimizers import make_optimizer, take_step
from ensemble.training.precision import step_context
from ensemble.training.predictors import predictor
from ensemble.training.rows import DeviceRows, batch_bounds, device_targets, to_device, to_numpy
from ensemble.training.schedules import learning_rate, snapshot_steps
from ensemble.training.score import EVALUATION_BATCH
from ensemble.training.state import Trajectory, entries, optimizer_state, restore_optimizer


@dataclass
class _Member:
    """One member of a stack: its place in it, where it stands, and its own chance."""

    place: int
    plan: MemberPlan
    rows: Rows
    masks: torch.Generator
    run: Trajectory
    diverged: str | None = None

    @property
    def over(self) -> bool:
        return self.diverged is not None or self.run.is_patience_over(self.plan.train.early_stop)

    def order(self, epoch: int) -> Rows:
        return generator(member_sequence(self.plan.seed, self.plan.index, Purpose.ORDER, epoch)).permutation(
            self.rows
        )


def train_stack(
    plans: Sequence[MemberPlan],
    data: Dataset,
    *,
    state: TrainState | None = None,
    checkpoint_every: float = 60.0,
) -> Iterator[tuple[Event, ...]]:
    """Train the members that ``plans`` describe as one, from ``state`` where there is one.

    Yields what `train_member` yields, for each member; ``Checkpoint`` is of all of them. What there is to say at once
    comes as one. A member that diverges or has no patience left is over, and the others go on. The plans differ in
    their index alone, and `why_not_stackable` has nothing against them.
    """
    device = choose_device()
    plan, train = plans[0], plans[0].train
    net = make_net(plan, device)
    stack = NetStack([make_net(p, device) for p in plans], plan.shape, channels_last=channels_last(plan))
    parameters = [value for value in stack.parameters.values() if value.requires_grad]
    optimizer = make_optimizer(plan, parameters)
    criterion, loss_of_rows = Criterion(plan, data, device), loss_function(train.loss)
    inputs = DeviceRows(data.x, data.spec, device, channels_last=channels_last(plan))
    targets = device_targets(data.y, data.spec, device)
    fill = black(data.spec, device)
    watched = watched_rows(plan, data)
    members = [_begin(place, p, data, device) for place, p in enumerate(plans)]
    bounds = batch_bounds(len(members[0].rows), train.batch_size)
    steps = train.epochs * len(bounds)
    snapshots_at = snapshot_steps(train, steps)
    epoch, step_of_epoch = (0, 0) if state is None else _restore(state, stack, optimizer, members)
    here, where = fingerprint(device, train.precision), whereabouts(device)
    yield (
        *(Started(m.plan.index, resumed_epoch=m.run.epoch, fingerprint=here, **where) for m in members),
        *(Diverged(m.plan.index, m.diverged) for m in members if m.diverged is not None),
    )

    saved = told = time.monotonic()
    while epoch < train.epochs and (live := [member for member in members if not member.over]):
        orders = np.stack([member.order(epoch) for member in members])
        moves = np.stack([draw_moves(m.plan, epoch=epoch, rows=len(m.rows)) for m in members])
        for low, high in bounds[step_of_epoch:]:
            begun = time.perf_counter()
            step = epoch * len(bounds) + step_of_epoch
            lr = learning_rate(train, step, steps)
            for group in optimizer.param_groups:
                group["lr"] = lr
            index = orders[:, low:high]
            x = moved(inputs.batch(index.ravel()), moves[:, low:high].reshape(-1, 3), fill=fill)
            x = x.view(*index.shape, *plan.shape)
            y = targets[to_device(index.ravel(), device)]
            masks = [
                shape.draw(high - low, [member.masks for member in members], device)
                for shape in stack.mask_shapes
            ]

            with step_context(train.precision, device):
                outputs = stack.train(x, masks)
            losses = loss_of_rows(outputs.float().flatten(0, 1), y).view(*index.shape).mean(dim=1)
            optimizer.zero_grad()
            losses.sum().backward()  # type: ignore[no-untyped-call]
            gradients = [p.grad for p in parameters if p.grad is not None]
            norms, clipped = clip_each(gradients, clip_norm=train.clip_norm, clip_value=train.clip_value)
            values = losses.tolist()
            take_step(optimizer)

            share = (time.perf_counter() - begun) / len(live)
            for member in live:
                value, norm = values[member.place], norms[member.place]
                if not (math.isfinite(value) and math.isfinite(norm)):
                    yield (_end(member, evidence(member.run, value, norm, lr), stack, optimizer),)
                    continue
                member.run.count_step(value, norm, clipped[member.place], lr, seconds=share)
            if not (live := [member for member in live if not member.over]):
                break  # those that were over before by their patience are still to be concluded
            step_of_epoch += 1
            if step + 1 in snapshots_at:
                for member in live:
                    load_weights(net, _weights(stack, member.place))
                    place = snapshots_at.index(step + 1)
                    yield (predictor(member.plan, data, net, inputs, origin="snapshots", index=place),)
            if time.monotonic() - saved >= checkpoint_every:
                yield (Checkpoint(plan.index, _capture(stack, optimizer, members, epoch, step_of_epoch)),)
                saved = told = time.monotonic()
            elif time.monotonic() - told >= SECONDS_BETWEEN_SIGNS:
                yield (Alive(plan.index),)
                told = time.monotonic()

        figures = _validate(stack, data, watched, inputs, targets, criterion)
        said: list[Event] = []
        for member in live:
            run, (valid_loss, metric) = member.run, figures[member.place]
            if valid_loss is not None and not math.isfinite(valid_loss):
                said.append(
                    _end(member, f"epoch {epoch + 1}, validation loss {valid_loss}", stack, optimizer)
                )
                continue
            if train.early_stop is not None and valid_loss is not None:
                better = valid_loss < run.best_loss
                run.note_validation(valid_loss, _weights(stack, member.place) if better else None)
            if epoch + 1 > (1 - train.swa) * train.epochs:
                run.add_to_average(_weights(stack, member.place))
            progress = run.end_epoch(
                member.plan, steps=len(bounds), rows=len(member.rows), valid_loss=valid_loss, metric=metric
            )
            said.append(progress)
        yield tuple(said)
        epoch, step_of_epoch = epoch + 1, 0

    for member in members:
        if member.diverged is None:
            load_weights(net, _weights(stack, member.place))
            yield tuple(conclude(member.plan, data, net, inputs, member.run))


def _begin(place: int, plan: MemberPlan, data: Dataset, device: torch.device) -> _Member:
    seed = torch_seed(member_sequence(plan.seed, plan.index, Purpose.DROPOUT))
    masks = torch.Generator(device).manual_seed(seed)
    return _Member(place, plan, training_rows(plan, data.train), masks, Trajectory())


def _weights(stack: NetStack, place: int) -> Weights:
    return {name: to_numpy(value[place]) for name, value in stack.state().items()}


def _end(member: _Member, why: str, stack: NetStack, optimizer: torch.optim.Optimizer) -> Diverged:
    """The member is over. What is left of it becomes zeros, so that checkpoints hold nothing that is not finite."""
    member.diverged = why
    slots = [value for state in optimizer.state.values() for value in state.values()]
    with torch.no_grad():
        for value in (*stack.parameters.values(), *stack.buffers.values(), *slots):
            if isinstance(value, Tensor) and value.ndim and len(value) == len(stack):
                value[member.place] = 0
    return Diverged(member.plan.index, why)


@torch.inference_mode()
def _validate(
    stack: NetStack,
    data: Dataset,
    rows: Rows,
    inputs: DeviceRows,
    targets: Tensor,
    criterion: Criterion,
) -> Sequence[tuple[float, float] | tuple[None, None]]:
    """Loss and accuracy of each member, as `loop.validate` has them."""
    if not len(rows):
        return [(None, None)] * len(stack)
    sums = torch.zeros(len(stack), 2, dtype=torch.float64, device=targets.device)
    for start in range(0, len(rows), EVALUATION_BATCH):
        index = rows[start : start + EVALUATION_BATCH]
        y = targets[to_device(index, targets.device)]
        outputs = stack.predict(inputs.batch(index)).float()
        sums += torch.stack([sums_of(own, y, data.spec, criterion) for own in outputs])
    return [figures_of(means, data.spec) for means in (sums / len(rows)).tolist()]


def _capture(
    stack: NetStack,
    optimizer: torch.optim.Optimizer,
    members: Sequence[_Member],
    epoch: int,
    step_of_epoch: int,
) -> TrainState:
    """The state of all members between two steps; what is theirs alone has their place before its name."""
    arrays, memory = optimizer_state(optimizer)
    arrays |= {f"net.{name}": to_numpy(value) for name, value in stack.state().items()}
    records: list[dict[str, Any]] = []
    for member in members:
        own = {"best": member.run.best or {}, "averaged": member.run.averaged or {}}
        arrays |= {
            f"{member.place}.{kind}.{name}": array
            for kind, weights in own.items()
            for name, array in weights.items()
        }
        arrays[_generator_of(member)] = to_numpy(member.masks.get_state())
        records.append({"diverged": member.diverged, "run": member.run.values()})
    step = max(member.run.step for member in members)
    values = {"optimizer": memory, "step_of_epoch": step_of_epoch, "members": records}
    return TrainState(epoch, step, arrays, values)


def _restore(
    state: TrainState, stack: NetStack, optimizer: torch.optim.Optimizer, members: Sequence[_Member]
) -> tuple[int, int]:
    """Put a captured state back; returns the epoch and the step in it."""
    with torch.no_grad():
        for name, value in stack.state().items():
            value.copy_(torch.from_numpy(np.array(state.arrays[f"net.{name}"])))
    restore_optimizer(state, optimizer)
    for member, record in zip(members, state.values["members"], strict=True):
        member.diverged = record["diverged"]
        masks = state.arrays.get(_generator_of(member))
        if masks is not None:  # else the state comes from another kind of device
            member.masks.set_state(torch.from_numpy(np.array(masks)))
        member.run = Trajectory.of(
            record["run"],
            best=entries(state, f"{member.place}.best.") or None,
            averaged=entries(state, f"{member.place}.averaged.") or None,
        )
    return state.epoch, state.values["step_of_epoch"]


def _generator_of(member: _Member) -> str:
    """Its name in a state: a generator of a CPU cannot go on from where one of a GPU was, nor the other way round."""
    return f"{member.place}.rng.{member.masks.device.type}"
