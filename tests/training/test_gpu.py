"""What must hold on a GPU. The same checks run on the CPU: the GPU's differ in the device alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ensemble.data.dataset import Dataset
from ensemble.members.resampling import training_rows
from ensemble.nets.dropout import draw_mask
from ensemble.training import rows
from ensemble.training.augmentation import black, draw_moves, moved
from ensemble.training.criterion import Criterion
from ensemble.training.events import Checkpoint, Event, Finished, Predictor, Started
from ensemble.training.loop import train_member
from ensemble.training.networks import choose_device, make_net
from ensemble.training.rows import DeviceRows, device_targets, fits, to_device
from ensemble.training.score import score
from ensemble.training.stacked import train_stack
from ensemble.training.tasks import Train, run_task
from tests.devices import DEVICES
from tests.scenarios import blobs, events_of, images, line, plans_for

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    if request.param == "cpu":
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device().type == request.param
    return torch.device(request.param)


Said = dict[tuple[int, str, int], Predictor]


def said_by(events: list[Event]) -> Said:
    return {(e.member, e.origin, e.index): e for e in events if isinstance(e, Predictor)}


def same(one: Said, other: Said) -> bool:
    """Keys, weights and predictions, to the bit."""
    if one.keys() != other.keys():
        return False
    pairs = [(one[key], other[key]) for key in one]
    return all(
        np.array_equal(a[name], b[name])
        for first, second in pairs
        for a, b in ((first.weights or {}, second.weights or {}), (first.predictions, second.predictions))
        for name in a.keys() | b.keys()
    )


SCENARIOS: dict[str, tuple[Dataset, dict[str, Any]]] = {
    "dropout, bootstrap, snapshots, by norm": (
        blobs(),
        {"dropout": 0.3, "dropout_samples": 2, "resample": "bootstrap", "snapshots": 2, "clip_norm": 0.5},
    ),
    "convolutions, augmented, swa, by value": (
        images(),
        {"net": "convnet", "hidden": (4,), "augment": "flip,shift", "swa": 0.5, "clip_value": 0.05},
    ),
    "heads under bootstrap, residual, sgd": (
        images(),
        {"net": "resnet", "hidden": (4, 8), "heads": 2, "resample": "bootstrap", "optimizer": "sgd"},
    ),
    "lenet, dropout": (images(), {"net": "lenet", "hidden": (2, 4, 8, 16), "dropout": 0.2}),
    "regression, early stop": (line(), {"early_stop": 2, "batch_norm": "none"}),
    "bfloat16": (images(), {"net": "convnet", "hidden": (4,), "dropout": 0.2, "precision": "bfloat16"}),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_member_has_the_same_bits_again_and_from_a_checkpoint(scenario: str, device: torch.device) -> None:
    """Fails without the generator of that device in the state, and on a GPU without deterministic algorithms."""
    data, options = SCENARIOS[scenario]
    if scenario == "bfloat16" and device.type == "cuda" and torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this GPU has no bfloat16")
    (plan, _) = plans_for(data, **{"epochs": 2} | options)
    whole = list(train_member(plan, data, checkpoint_every=1e-9))
    assert isinstance(whole[-1], Finished)
    (started,) = [e for e in whole if isinstance(e, Started)]
    assert (started.device, started.fingerprint["device"]) == (device.type, device.type)
    predictors = said_by(whole)
    for predictor in predictors.values():
        for array in ((predictor.weights or {}) | predictor.predictions).values():
            assert type(array) is np.ndarray
            assert np.isfinite(array).all()
    assert same(said_by(list(train_member(plan, data))), predictors)
    state = [e.state for e in whole if isinstance(e, Checkpoint)][2]
    assert all(type(array) is np.ndarray for array in state.arrays.values())
    assert same(said_by(list(train_member(plan, data, state=state))) | _snapshots(predictors), predictors)


def _snapshots(predictors: Said) -> Said:
    """Those that may have been taken before a checkpoint, so that who goes on from there does not take them again."""
    return {key: value for key, value in predictors.items() if key[1] == "snapshots"}


STACKED = [
    (blobs(), {"dropout": 0.3, "resample": "bootstrap", "clip_norm": 0.5, "swa": 0.5}),
    (images(), {"net": "convnet", "hidden": (4,), "dropout": 0.2, "augment": "flip,shift"}),
]


@pytest.mark.parametrize(("data", "options"), STACKED)
def test_a_stack_agrees_with_members_alone_and_goes_on_to_the_same_bits(
    data: Dataset, options: dict[str, Any], device: torch.device
) -> None:
    plans = plans_for(data, members=3, epochs=2, **options)
    whole = events_of(train_stack(plans, data, checkpoint_every=1e-9))
    alone = said_by([event for plan in plans for event in train_member(plan, data)])
    assert said_by(whole).keys() == alone.keys()
    for key, predictor in said_by(whole).items():
        for part, values in predictor.predictions.items():
            np.testing.assert_allclose(
                values, alone[key].predictions[part], atol=5e-3, err_msg=f"{key} {part}"
            )
    state = [e.state for e in whole if isinstance(e, Checkpoint)][2]
    assert f"0.rng.{device.type}" in state.arrays
    assert same(said_by(events_of(train_stack(plans, data, state=state))), said_by(whole))


def test_a_stack_goes_on_from_a_state_of_the_other_kind_of_device(device: torch.device) -> None:
    """A worker without a GPU may take up what one with a GPU left: once every attempt failed, the generators' states
    being of another size. Masks are then drawn as from the beginning of the run."""
    data = blobs()
    plans = plans_for(data, dropout=0.3)
    whole = events_of(train_stack(plans, data, checkpoint_every=1e-9))
    state = [e.state for e in whole if isinstance(e, Checkpoint)][5]
    other = {"cpu": "cuda", "cuda": "cpu"}[device.type]
    arrays = {
        name.replace(f"rng.{device.type}", f"rng.{other}"): value for name, value in state.arrays.items()
    }
    assert arrays.keys() != state.arrays.keys()
    rest = events_of(train_stack(plans, data, state=replace(state, arrays=arrays)))
    assert [type(e) for e in rest].count(Finished) == 2
    assert not same(said_by(rest), said_by(whole))


@pytest.mark.parametrize("data", [blobs(), images()])
def test_rows_that_stay_in_the_hosts_memory_give_the_same_bits(
    data: Dataset, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plans_for(data, dropout=0.3, dropout_samples=1)[0]
    resident = said_by(list(train_member(plan, data)))
    data.x.flags.writeable = False  # as it comes out of shared memory
    monkeypatch.setattr(rows, "fits", lambda size, device: False)
    assert same(said_by(list(train_member(plan, data))), resident)


@pytest.mark.parametrize("scenario", ["convolutions, augmented, swa, by value", "regression, early stop"])
def test_what_a_member_says_is_what_it_says_on_a_cpu(
    scenario: str, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights predict the same there, and its first epoch took the same rows, moves and initial weights."""
    data, options = SCENARIOS[scenario]
    plan = plans_for(data, **options)[0]
    here = list(train_member(plan, data))
    weights = said_by(here)[0, "members", 0].weights
    assert weights is not None
    scored = score(plan, weights, data, parts=("valid", "test"), refresh=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    there = score(plan, weights, data, parts=("valid", "test"), refresh=True)
    for part, values in there.predictions.items():
        np.testing.assert_allclose(scored.predictions[part], values, rtol=1e-3, atol=1e-4)
    on_cpu = list(train_member(plan, data))
    assert isinstance(here[-1], Finished)
    assert isinstance(on_cpu[-1], Finished)
    assert here[-1].history[0].loss == pytest.approx(on_cpu[-1].history[0].loss, rel=1e-3)


def test_the_callers_generators_are_left_alone(device: torch.device) -> None:
    """Between two events of a task, and after it; on a GPU that of the GPU too."""

    def states() -> list[torch.Tensor]:
        on_gpu = [torch.cuda.get_rng_state()] if device.type == "cuda" else []
        return [torch.get_rng_state(), *on_gpu]

    data = blobs()
    before = states()
    for _ in run_task(Train(plans_for(data, members=1, dropout=0.4)), data):
        assert all(torch.equal(*pair) for pair in zip(states(), before, strict=True))


@pytest.fixture
def no_waiting(device: torch.device) -> Iterator[None]:
    """On a GPU, what makes the process wait for it raises."""
    if device.type == "cpu":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("resident", [True, False])
def test_a_step_waits_for_the_gpu_only_where_it_reads_loss_and_norm(
    resident: bool, device: torch.device, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(rows, "fits", lambda size, device: resident)
    data = images()
    plan = plans_for(
        data, net="convnet", hidden=(4,), dropout=0.2, augment="flip,shift", heads=2, resample="bootstrap"
    )[0]
    net = make_net(plan, device).train()
    inputs = DeviceRows(data.x, data.spec, device, channels_last=True)
    targets, criterion = device_targets(data.y, data.spec, device), Criterion(plan, data, device)
    fill = black(data.spec, device)
    index = training_rows(plan, data.train)[:16]
    moves = draw_moves(plan, epoch=0, rows=16)
    request.getfixturevalue("no_waiting")
    x = moved(inputs.batch(index), moves, fill=fill)
    loss = criterion.training_loss(net(x).float(), targets[to_device(index, device)], index)
    loss.backward()  # type: ignore[no-untyped-call]
    mask = draw_mask(x, 0.5)
    assert {tensor.device.type for tensor in (x, loss, mask)} == {device.type}


@pytest.mark.parametrize(("size", "resident"), [(700, True), (701, False)])
def test_rows_may_take_half_of_what_the_gpu_has_free(
    size: int, resident: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """400 bytes that torch keeps of what this process freed are as good as free: a warm worker's next member."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9999))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 600)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 200)
    assert fits(size, torch.device("cuda")) is resident


def test_on_a_cpu_rows_stay_where_they_are() -> None:
    assert fits(2**60, torch.device("cpu"))
