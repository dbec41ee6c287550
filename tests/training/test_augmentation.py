"""Augmentation: images move as drawn, the draws follow from plan and epoch alone, and only training sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from ensemble.cli.main import cli
from ensemble.config import TrainConfig
from ensemble.data.dataset import Dataset
from ensemble.errors import UsageError
from ensemble.training.augmentation import Moves, black, check_augmentation, draw_moves, moved
from ensemble.training.events import Checkpoint, Event, Finished, Predictor
from ensemble.training.loop import train_member
from ensemble.training.score import score
from tests.scenarios import blobs, images, plans_for

ROW = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])[None, None]
FILL = torch.zeros(1, 1, 1)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ((1, 0, 0), [[3, 2, 1], [6, 5, 4], [9, 8, 7]]),
        ((0, 1, 0), [[0, 0, 0], [1, 2, 3], [4, 5, 6]]),
        ((0, -2, 0), [[7, 8, 9], [0, 0, 0], [0, 0, 0]]),
        ((0, 0, 1), [[0, 1, 2], [0, 4, 5], [0, 7, 8]]),
        ((1, 0, 1), [[0, 3, 2], [0, 6, 5], [0, 9, 8]]),
        ((1, -1, -1), [[5, 4, 0], [8, 7, 0], [0, 0, 0]]),
    ],
)
def test_a_known_image_is_flipped_then_moved(
    moves: tuple[int, int, int], expected: list[list[float]]
) -> None:
    assert moved(ROW, np.array([moves]), fill=FILL)[0, 0].tolist() == expected


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 5)] * 4),
    seed=st.integers(0, 99),
    channels_last=st.booleans(),
)
def test_a_batch_is_what_its_images_are_one_by_one(
    shape: tuple[int, ...], seed: int, channels_last: bool
) -> None:
    """And it lies in memory as before: fails where the gathered pixels are handed on as they lie."""
    random = np.random.default_rng(seed)
    x = torch.from_numpy(random.normal(size=shape).astype(np.float32))
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    moves = np.stack([random.integers(0, 2, shape[0]), *random.integers(-3, 4, (2, shape[0]))], axis=1)
    fill = torch.from_numpy(random.normal(size=(shape[1], 1, 1)).astype(np.float32))
    found = moved(x, moves, fill=fill)
    expected = [one_by_one(row.numpy(), move, fill.numpy()) for row, move in zip(x, moves, strict=True)]
    assert np.array_equal(found.numpy(), np.stack(expected))
    assert found.stride() == x.stride()


def one_by_one(
    row: NDArray[np.float32], move: NDArray[np.int64], fill: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The same said otherwise: a padded image, out of which a window is cut."""
    flip, down, right = move.tolist()
    room = 3
    padded = np.pad(row[:, :, ::-1] if flip else row, ((0, 0), (room, room), (room, room)))
    outside = np.pad(np.zeros_like(row[0]), room, constant_values=1)
    padded = np.where(outside == 1, fill, padded)
    top, left = room - down, room - right
    return padded[:, top : top + row.shape[1], left : left + row.shape[2]]


def test_without_augmentation_not_even_memory_is_touched() -> None:
    plan = plans_for(images(), net="lenet")[0]
    x = torch.rand(20, 1, 16, 16)
    assert moved(x, draw_moves(plan, epoch=0, rows=20), fill=FILL) is x


def test_what_comes_in_is_the_sources_zero() -> None:
    data = images()
    fill = black(data.spec, torch.device("cpu"))
    assert fill.item() == pytest.approx(-data.spec.mean[0] / data.spec.std[0])
    colours = data.spec.model_copy(update={"mean": (1.0, 2.0, 3.0), "std": (1.0, 4.0, 2.0)})
    assert black(colours, torch.device("cpu"))[:, 0, 0].tolist() == [-1, -0.5, -1.5]


def test_draws_follow_from_member_and_epoch_alone() -> None:
    """Fails with a stream that leaves out either."""
    first, second = plans_for(images(), net="lenet", augment="flip,shift", members=2)
    one = draw_moves(first, epoch=3, rows=400)
    assert np.array_equal(one, draw_moves(first, epoch=3, rows=400))
    assert not np.array_equal(one, draw_moves(first, epoch=4, rows=400))
    assert not np.array_equal(one, draw_moves(second, epoch=3, rows=400))
    assert set(one[:, 0]) == {0, 1}
    assert set(one[:, 1]) == set(one[:, 2]) == {-2, -1, 0, 1, 2}  # an eighth of 16
    assert abs(one[:, 0].mean() - 0.5) < 0.1
    flipped = draw_moves(plans_for(images(), net="lenet", augment="flip")[0], epoch=3, rows=400)
    assert np.array_equal(flipped[:, 0], one[:, 0])
    assert not flipped[:, 1:].any()
    assert not draw_moves(plans_for(images(), augment="shift")[0], epoch=3, rows=400)[:, 0].any()


@pytest.mark.parametrize("net", ["lenet", "mlp"])
def test_going_on_in_the_middle_of_an_epoch_gives_the_same_bits(net: str) -> None:
    """Fails where the draws of an epoch come from the generator in the checkpoint, which has moved on by then."""
    data = images()
    plan = plans_for(
        data, net=net, hidden=(4, 8, 16, 16) if net == "lenet" else (16,), epochs=2, augment="flip,shift"
    )[0]
    whole = list(train_member(plan, data, checkpoint_every=0))
    checkpoints = [event for event in whole if isinstance(event, Checkpoint)]
    assert len(checkpoints) == 8
    for checkpoint in checkpoints[1::2]:
        again = list(train_member(plan, data, state=checkpoint.state))
        for name, value in weights(whole).items():
            assert np.array_equal(weights(again)[name], value)


def test_members_differ_from_those_without_and_are_judged_on_rows_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is validated or predicted is what the weights say of the rows themselves."""
    data, options = images(rows=150), {"net": "lenet", "hidden": (4, 8, 16, 16), "epochs": 6}
    plain = list(train_member(plans_for(data, **options)[0], data))
    plan = plans_for(data, augment="shift", **options)[0]
    events = list(train_member(plan, data))
    assert any(not np.array_equal(weights(plain)[k], v) for k, v in weights(events).items())
    said = predictor(events).predictions
    again = score(plan, weights(events), data, parts=("valid", "test"), refresh=False).predictions
    assert all(np.array_equal(said[part], again[part]) for part in said)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.history[-1].metric == (said["valid"].argmax(1) == data.y[data.valid]).mean()
    # Bands lie higher or lower, by class, farther apart than images move: labels have stayed with their images.
    assert (said["test"].argmax(1) == data.y[data.test]).mean() > 0.8

    rows: list[int] = []

    def counted(x: Tensor, moves: Moves, *, fill: Tensor) -> Tensor:
        rows.append(len(x))
        return moved(x, moves, fill=fill)

    monkeypatch.setattr("ensemble.training.loop.moved", counted)
    list(train_member(plan, data))
    assert sum(rows) == 6 * len(data.train)


def test_numbers_are_learned_from_augmented_images_too() -> None:
    data = images(rows=150)
    y = data.y.astype(np.float64) * 10
    spec = data.spec.model_copy(
        update={
            "task": "regression",
            "classes": (),
            "target_mean": float(y.mean()),
            "target_std": float(y.std()),
        }
    )
    plan = plans_for(
        numbers := replace(data, spec=spec, y=y),
        net="lenet",
        hidden=(4, 8, 16, 16),
        epochs=8,
        augment="flip,shift",
    )[0]
    said = predictor(list(train_member(plan, numbers))).predictions["test"]
    assert np.sqrt(np.square(said[:, 0] - y[data.test]).mean()) < y.std() / 2


def test_rows_that_are_no_images_are_refused() -> None:
    with pytest.raises(UsageError, match=r"'blobs' has shape \(4,\)"):
        check_augmentation(TrainConfig(augment="flip"), blobs().spec)
    check_augmentation(TrainConfig(), blobs().spec)
    check_augmentation(TrainConfig(augment="flip"), images().spec)


def test_pixels_with_scales_of_their_own_are_refused() -> None:
    """Fails without the check: a pixel would be moved to where its value means something else."""
    spec = images().spec.model_copy(
        update={"standardize": "features", "mean": (0.0,) * 256, "std": (1.0,) * 256}
    )
    with pytest.raises(UsageError, match="--standardize pixels"):
        check_augmentation(TrainConfig(augment="shift"), spec)


def test_the_command_refuses_before_anything_starts(tmp_path: Path) -> None:
    """Fails without the check in `ensemble.launch`."""
    run = tmp_path / "run"
    given = ["train", "--data", "iris", "--augment", "flip", "--pool", "serial", "--run", str(run)]
    result = CliRunner().invoke(cli, given)
    assert result.exit_code == 2
    assert "augment flip moves pixels of images" in result.output
    assert not run.exists()


def predictor(events: list[Event]) -> Predictor:
    return next(event for event in events if isinstance(event, Predictor))


def weights(events: list[Event]) -> dict[str, NDArray[np.float32]]:
    found = predictor(events).weights
    assert found is not None
    return found


def test_data_of_other_tests_is_left_alone() -> None:
    """A batch is a copy: the rows that all members share are as they were."""
    data: Dataset = images()
    before = data.x.copy()
    list(train_member(plans_for(data, net="mlp", epochs=1, augment="flip,shift")[0], data))
    assert np.array_equal(data.x, before)
