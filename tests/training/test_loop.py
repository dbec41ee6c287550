"""Training one member: it learns, its bits follow from plan and data alone, and it says what happened."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ensemble.data.dataset import Dataset
from ensemble.evaluation.held_out import split_holdout
from ensemble.training.events import (
    Checkpoint,
    Diverged,
    Event,
    Finished,
    Predictor,
    Progress,
    Started,
    TrainState,
)
from ensemble.training.loop import train_member
from tests.scenarios import blobs, images, line, plans_for

pytestmark = pytest.mark.usefixtures("one_thread")


def run(
    data: Dataset, *, state: TrainState | None = None, every: float = 60.0, **options: Any
) -> list[Event]:
    return list(train_member(plans_for(data, **options)[0], data, state=state, checkpoint_every=every))


def final(events: list[Event], origin: str = "members") -> Predictor:
    return [e for e in events if isinstance(e, Predictor) and e.origin == origin][-1]


def same(a: Predictor, b: Predictor) -> bool:
    assert a.weights is not None
    assert b.weights is not None
    return all(np.array_equal(a.weights[k], b.weights[k]) for k in a.weights) and all(
        np.array_equal(a.predictions[k], b.predictions[k]) for k in a.predictions
    )


def test_a_member_learns_and_tells_its_story_in_order() -> None:
    data = blobs()
    events = run(data, epochs=12)
    assert [type(e) for e in events] == [Started, *[Progress] * 12, Predictor, Finished]
    said = final(events).predictions
    assert (said["test"].argmax(1) == data.y[data.test]).mean() > 0.95
    np.testing.assert_allclose(said["test"].sum(1), 1, atol=1e-5)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.history[-1].loss < finished.history[0].loss / 2
    assert finished.history[-1].grad_norm > 0


def test_regression_learns_in_the_targets_unit() -> None:
    data = line()
    said = final(run(data, epochs=40)).predictions["test"]
    assert np.sqrt(np.mean((said[:, 0] - data.y[data.test]) ** 2)) < 5  # the targets' sd is 22, the noise 2
    assert (said[:, 1] > 0).all()


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize(("net", "how"), [("mlp", {"early_stop": 5}), ("convnet", {"swa": 0.9})])
def test_going_on_from_any_checkpoint_gives_the_same_bits(
    optimizer: str, net: str, how: dict[str, Any]
) -> None:
    """Fails without any of these in the state: optimizer slots, their memory layout, generator, position."""
    data = images()
    options: dict[str, Any] = {
        "net": net,
        "hidden": (8,) if net == "mlp" else (4, 8),
        "dropout": 0.3,
        "epochs": 2,
    }
    options |= {"optimizer": optimizer, **how}
    whole = run(data, every=1e-9, **options)
    checkpoints = [e for e in whole if isinstance(e, Checkpoint)]
    assert len(checkpoints) == 8
    for checkpoint in checkpoints[::3]:
        rest = run(data, state=checkpoint.state, **options)
        assert same(final(rest), final(whole))
        if "swa" in how:
            assert same(final(rest, "averaged"), final(whole, "averaged"))
        assert isinstance(rest[-1], Finished)
        assert isinstance(whole[-1], Finished)
        assert [p.loss for p in rest[-1].history] == [p.loss for p in whole[-1].history]


def test_checkpoints_change_nothing() -> None:
    data = blobs()
    assert same(final(run(data, dropout=0.2, every=1e-9)), final(run(data, dropout=0.2)))


def test_the_bits_do_not_depend_on_the_callers_generator() -> None:
    data = blobs()
    torch.manual_seed(1)
    first = run(data, dropout=0.2)
    torch.manual_seed(2)
    assert same(final(first), final(run(data, dropout=0.2)))


def test_members_and_seeds_differ() -> None:
    data = blobs()
    plans = plans_for(data, members=2)
    ends = [final(list(train_member(plan, data))) for plan in plans]
    assert not same(*ends)
    other_run = final(list(train_member(plans_for(data, members=2, seed=1)[0], data)))
    assert not same(ends[1], other_run)  # seed 0 member 1 is not seed 1 member 0


def test_early_stop_restores_the_best_weights() -> None:
    """The rate wrecks the network later: without the restoring, the last epoch's predictions come out."""
    data = blobs(spread=2.5)
    events = run(data, early_stop=3, epochs=40, lr=0.3, schedule="constant", batch_norm="none")
    history = [e for e in events if isinstance(e, Progress)]
    best = min(range(len(history)), key=lambda i: history[i].valid_loss)
    assert len(history) == best + 1 + 3
    selecting, _ = split_holdout(len(data.valid), seed=0)
    said, y = final(events).predictions["valid"][selecting], data.y[data.valid][selecting]
    nll = -np.log(np.clip(said[np.arange(len(said)), y], 1e-12, None)).mean()
    assert nll == pytest.approx(history[best].valid_loss, abs=1e-4)
    assert nll < history[-1].valid_loss


def test_divergence_is_an_event_with_its_evidence() -> None:
    data = line()
    events = run(data, lr=1e6, optimizer="sgd", loss="mse", batch_norm="none", schedule="constant", epochs=20)
    assert isinstance(events[-1], Diverged)
    assert "loss" in events[-1].evidence
    assert not [e for e in events if isinstance(e, Predictor)]


def test_clipped_steps_are_counted() -> None:
    history = [e for e in run(blobs(), clip_norm=1e-6) if isinstance(e, Progress)]
    assert {p.clipped for p in history} == {1.0}
    history = [e for e in run(blobs(), clip_norm=1e6) if isinstance(e, Progress)]
    assert {p.clipped for p in history} == {0.0}


def test_out_of_bag_rows_are_those_the_bootstrap_left_out() -> None:
    data = blobs()
    events = run(data, resample="bootstrap")
    said = final(events).predictions
    plan = plans_for(data, resample="bootstrap")[0]
    from ensemble.members.resampling import unseen_rows

    unseen = unseen_rows(plan, data.train)
    assert unseen is not None
    assert len(said["oob"]) == len(unseen)


def test_heads_are_predictors_and_the_member_is_their_mean() -> None:
    events = run(blobs(), heads=3)
    heads = [e.predictions["test"] for e in events if isinstance(e, Predictor) and e.origin == "heads"]
    assert len(heads) == 3
    np.testing.assert_allclose(final(events).predictions["test"], np.mean(heads, axis=0), atol=1e-6)


def test_dropout_masks_differ_and_change_nothing_else() -> None:
    data = images()
    events = run(data, dropout=0.4, dropout_samples=3)
    said = [e.predictions["test"] for e in events if isinstance(e, Predictor) and e.origin == "dropout"]
    assert len(said) == 3
    assert not np.array_equal(said[0], said[1])
    assert same(final(events), final(run(data, dropout=0.4)))


def test_snapshots_end_with_the_member_itself() -> None:
    data = blobs()
    events = run(data, schedule="cyclic", snapshots=2, epochs=4)
    shots = [e for e in events if isinstance(e, Predictor) and e.origin == "snapshots"]
    assert [s.index for s in shots] == [0, 1]
    np.testing.assert_array_equal(shots[-1].predictions["test"], final(events).predictions["test"])


def test_averaged_weights_are_the_mean_of_the_last_epochs_refreshed() -> None:
    data = blobs()
    whole = run(data, epochs=4, swa=0.5, every=1e-9)
    averaged = final(whole, "averaged").weights
    assert averaged is not None
    per_epoch = len([e for e in whole if isinstance(e, Checkpoint)]) // 4
    ends = [e.state.arrays for e in whole if isinstance(e, Checkpoint)][per_epoch - 1 :: per_epoch][-2:]
    for name, value in averaged.items():
        if name.endswith(("weight", "bias")):
            np.testing.assert_allclose(
                value, (ends[0][f"net.{name}"] + ends[1][f"net.{name}"]) / 2, atol=1e-6
            )
    running = next(name for name in averaged if name.endswith("running_mean"))
    assert not np.allclose(averaged[running], (ends[0][f"net.{running}"] + ends[1][f"net.{running}"]) / 2)


def test_a_last_batch_of_one_row_trains_with_batch_norm() -> None:
    data = blobs(rows=55 * 3)  # 99 training rows
    assert len(data.train) % 14 == 1
    assert isinstance(run(data, batch_size=14)[-1], Finished)
