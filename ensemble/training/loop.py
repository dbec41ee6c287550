"""Training one member: a generator of events. It touches no disk and knows no pool."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from ensemble.data.dataset import Dataset, DataSpec, Rows
from ensemble.evaluation.held_out import split_holdout
from ensemble.members.plan import MemberPlan
from ensemble.members.resampling import training_rows
from ensemble.nets.batchnorm import refresh_batch_norm
from ensemble.streams import Purpose, generator, member_sequence, torch_seed
from ensemble.training.augmentation import black, draw_moves, moved
from ensemble.training.clipping import clip_gradients
from ensemble.training.criterion import Criterion
from ensemble.training.events import Alive, Checkpoint, Diverged, Event, Finished, Started, TrainState
from ensemble.training.fingerprint import fingerprint, whereabouts
from ensemble.training.losses import predictions
from ensemble.training.networks import channels_last, choose_device, load_weights, make_net, weights_of
from ensemble.training.optimizers import make_optimizer, take_step
from ensemble.training.precision import step_context
from ensemble.training.predictors import final_predictors, predictor
from ensemble.training.rows import DeviceRows, batch_bounds, device_targets, to_device
from ensemble.training.schedules import learning_rate, snapshot_steps
from ensemble.training.score import EVALUATION_BATCH, predict, refresh_batches
from ensemble.training.state import Trajectory, capture, restore

SECONDS_BETWEEN_SIGNS = 10.0
"""Of life, within an epoch: who hears nothing for much longer takes the worker for hung."""


def train_member(
    plan: MemberPlan, data: Dataset, *, state: TrainState | None = None, checkpoint_every: float = 60.0
) -> Iterator[Event]:
    """Train the member that ``plan`` describes, from ``state`` where there is one.

    Yields ``Started``, then ``Progress`` after each epoch, ``Alive`` within long ones, ``Checkpoint`` when
    ``checkpoint_every`` seconds have gone by, a ``Predictor`` for each snapshot, head and set of dropout masks, one
    for the member itself, and ``Finished``; or ``Diverged`` where the loss or the gradient is no longer finite. The
    same plan and data give the same bits whatever the checkpoints, interruptions and pool.
    """
    device = choose_device()
    train = plan.train
    net = make_net(plan, device)
    parameters = list(net.parameters())
    optimizer = make_optimizer(plan, parameters)
    criterion = Criterion(plan, data, device)
    inputs = DeviceRows(data.x, data.spec, device, channels_last=channels_last(plan))
    targets = device_targets(data.y, data.spec, device)
    fill = black(data.spec, device)
    rows = training_rows(plan, data.train)
    watched = watched_rows(plan, data)
    bounds = batch_bounds(len(rows), train.batch_size)
    steps = train.epochs * len(bounds)
    snapshots_at = snapshot_steps(train, steps)
    torch.manual_seed(torch_seed(member_sequence(plan.seed, plan.index, Purpose.DROPOUT)))
    run = Trajectory() if state is None else restore(state, net, optimizer)
    yield Started(
        plan.index,
        resumed_epoch=run.epoch,
        fingerprint=fingerprint(device, train.precision),
        **whereabouts(device),
    )

    saved = told = time.monotonic()
    while run.epoch < train.epochs and not run.is_patience_over(train.early_stop):
        order = generator(member_sequence(plan.seed, plan.index, Purpose.ORDER, run.epoch)).permutation(rows)
        moves = draw_moves(plan, epoch=run.epoch, rows=len(rows))
        for low, high in bounds[run.step_of_epoch :]:
            begun = time.perf_counter()
            net.train()
            lr = learning_rate(train, run.step, steps)
            for group in optimizer.param_groups:
                group["lr"] = lr
            index = order[low:high]
            x = moved(inputs.batch(index), moves[low:high], fill=fill)
            y = targets[to_device(index, device)]

            with step_context(train.precision, device):
                outputs = net(x)
            loss = criterion.training_loss(outputs.float(), y, index)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            norm, clipped = clip_gradients(parameters, clip_norm=train.clip_norm, clip_value=train.clip_value)
            value = loss.item() / plan.net.heads
            if not (math.isfinite(value) and math.isfinite(norm)):
                yield Diverged(plan.index, evidence(run, value, norm, lr))
                return
            take_step(optimizer)

            run.count_step(value, norm, clipped, lr, seconds=time.perf_counter() - begun)
            if run.step in snapshots_at:
                yield predictor(
                    plan, data, net, inputs, origin="snapshots", index=snapshots_at.index(run.step)
                )
            if time.monotonic() - saved >= checkpoint_every:
                yield Checkpoint(plan.index, capture(net, optimizer, run))
                saved = told = time.monotonic()
            elif time.monotonic() - told >= SECONDS_BETWEEN_SIGNS:
                yield Alive(plan.index)
                told = time.monotonic()

        valid_loss, metric = validate(net, data, watched, inputs, targets, criterion)
        if valid_loss is not None and not math.isfinite(valid_loss):
            yield Diverged(plan.index, f"epoch {run.epoch + 1}, validation loss {valid_loss}")
            return
        if train.early_stop is not None and valid_loss is not None:
            run.note_validation(valid_loss, weights_of(net) if valid_loss < run.best_loss else None)
        if run.epoch + 1 > (1 - train.swa) * train.epochs:
            run.add_to_average(weights_of(net))
        yield run.end_epoch(plan, steps=len(bounds), rows=len(rows), valid_loss=valid_loss, metric=metric)

    yield from conclude(plan, data, net, inputs, run)


def conclude(
    plan: MemberPlan, data: Dataset, net: nn.Module, inputs: DeviceRows, run: Trajectory
) -> Iterator[Event]:
    """What a trained network leaves behind: its predictors and ``Finished``. The network ends with other weights."""
    if run.best is not None:
        load_weights(net, run.best)
    yield from final_predictors(plan, data, net, inputs)
    if run.averaged is not None:
        now = weights_of(net)
        load_weights(net, {name: mean.astype(now[name].dtype) for name, mean in run.averaged.items()})
        refresh_batch_norm(net, refresh_batches(plan, data, inputs))
        yield predictor(plan, data, net, inputs, origin="averaged", index=0)
    seconds = sum(progress.seconds for progress in run.history)
    yield Finished(plan.index, tuple(run.history), seconds, _time_of_prediction(net, data, inputs))


def watched_rows(plan: MemberPlan, data: Dataset) -> Rows:
    """The validation rows of which loss and accuracy are told after each epoch.

    Early stopping selects by them, so it sees that half alone which selects; the other half calibrates.
    """
    if plan.train.early_stop is None:
        return data.valid
    selecting, _ = split_holdout(len(data.valid), seed=plan.seed)
    return data.valid[selecting]


@torch.inference_mode()
def validate(
    net: nn.Module,
    data: Dataset,
    rows: Rows,
    inputs: DeviceRows,
    targets: Tensor,
    criterion: Criterion,
) -> tuple[float | None, float | None]:
    """Loss and accuracy (RMSE in standardized units for regression) on ``rows``, in evaluation mode."""
    if not len(rows):
        return None, None
    net.eval()
    sums = torch.zeros(2, dtype=torch.float64, device=targets.device)
    for start in range(0, len(rows), EVALUATION_BATCH):
        index = rows[start : start + EVALUATION_BATCH]
        y = targets[to_device(index, targets.device)]
        sums += sums_of(net(inputs.batch(index)).float(), y, data.spec, criterion)
    return figures_of((sums / len(rows)).tolist(), data.spec)


def sums_of(outputs: Tensor, y: Tensor, spec: DataSpec, criterion: Criterion) -> Tensor:
    """Of a batch: loss, and right answers (squared errors for regression), added up over its rows.

    ``(2,)`` float64, left on the device: a GPU is asked once for what all batches add up to.
    """
    loss = criterion.validation_loss(outputs, y).double() * len(y)
    if spec.task == "classification":
        said = predictions(outputs, spec)
        labels = (said.mean(dim=1) if said.ndim == 3 else said).argmax(dim=-1)
        return torch.stack([loss, (labels == y).sum()])
    mean = outputs[..., 0].mean(dim=1) if outputs.ndim == 3 else outputs[:, 0]
    return torch.stack([loss, ((mean - y) ** 2).sum()])


def figures_of(means: Sequence[float], spec: DataSpec) -> tuple[float, float]:
    """Loss, and accuracy or RMSE, from the means over rows of what ``sums_of`` adds up."""
    loss, metric = means
    return loss, metric if spec.task == "classification" else math.sqrt(metric)


def evidence(run: Trajectory, loss: float, norm: float, lr: float) -> str:
    """Of a divergence: where, and the last values."""
    return f"epoch {run.epoch + 1}, step {run.step}: loss {loss}, gradient norm {norm}, rate {lr:g}"


def _time_of_prediction(net: nn.Module, data: Dataset, inputs: DeviceRows) -> float:
    """Seconds a thousand rows, over as many rows as fit one batch; the network is warm by now."""
    rows = data.test[:EVALUATION_BATCH]
    net.eval()
    begun = time.perf_counter()
    predict(net, inputs, rows, data.spec)
    return (time.perf_counter() - begun) / len(rows) * 1000
