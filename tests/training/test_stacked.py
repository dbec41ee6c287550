"""Members trained as one: each agrees with itself trained alone, and what befalls one touches no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ensemble.data.dataset import Dataset
from ensemble.members.plan import MemberPlan
from ensemble.training import stacked
from ensemble.training.events import (
    Checkpoint,
    Diverged,
    Event,
    Finished,
    Predictor,
    Progress,
    Started,
)
from ensemble.training.loop import train_member
from ensemble.training.stacked import train_stack
from tests.scenarios import blobs, events_of, images, line, plans_for

pytestmark = pytest.mark.usefixtures("one_thread")


def said_by(events: list[Event]) -> dict[tuple[int, str, int], Predictor]:
    return {(e.member, e.origin, e.index): e for e in events if isinstance(e, Predictor)}


def histories(events: list[Event]) -> dict[int, list[Progress]]:
    return {e.member: list(e.history) for e in events if isinstance(e, Finished)}


def alone(plans: tuple[MemberPlan, ...], data: Dataset) -> list[Event]:
    return [event for plan in plans for event in train_member(plan, data)]


SCENARIOS: list[tuple[Dataset, dict[str, Any]]] = [
    (blobs(), {"dropout": 0.3, "optimizer": "sgd", "clip_norm": 0.5}),
    (blobs(), {"resample": "bootstrap", "clip_value": 0.05, "batch_norm": "after", "snapshots": 2}),
    (blobs(), {"dropout": 0.2, "dropout_samples": 2, "swa": 0.5, "optimizer": "adamw"}),
    (blobs(spread=2.5), {"early_stop": 2, "epochs": 12, "lr": 0.1, "schedule": "constant"}),
    (line(), {"batch_norm": "none"}),
    (images(), {"net": "convnet", "hidden": (4,), "dropout": 0.2, "augment": "flip,shift"}),
]


@pytest.mark.parametrize(("data", "options"), SCENARIOS)
def test_each_member_agrees_with_itself_trained_alone(data: Dataset, options: dict[str, Any]) -> None:
    """Fails where members share an order, a bootstrap, a mask, a norm for clipping, or a move of their images."""
    plans = plans_for(data, members=3, **options)
    one_by_one, as_one = alone(plans, data), events_of(train_stack(plans, data))
    expected, found = said_by(one_by_one), said_by(as_one)
    assert expected.keys() == found.keys()
    for key, predictor in expected.items():
        for part, values in predictor.predictions.items():
            close = {"atol": 5e-3} if data.spec.task == "classification" else {"rtol": 1e-2}
            np.testing.assert_allclose(found[key].predictions[part], values, **close, err_msg=f"{key} {part}")
    for member, history in histories(one_by_one).items():
        for ours, theirs in zip(histories(as_one)[member], history, strict=True):
            assert ours.loss == pytest.approx(theirs.loss, rel=1e-3)
            assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-2)
            assert ours.valid_loss == pytest.approx(theirs.valid_loss, rel=5e-3)
            assert ours.clipped == pytest.approx(theirs.clipped, abs=0.2)


def test_members_differ_and_tell_their_story_in_order() -> None:
    data = blobs()
    events = events_of(train_stack(plans_for(data, members=2, epochs=3), data))
    of_one = [type(e) for e in events if getattr(e, "member", None) == 1]
    assert of_one == [Started, *[Progress] * 3, Predictor, Finished]
    first, second = (said_by(events)[member, "members", 0].weights for member in (0, 1))
    assert first is not None
    assert second is not None
    assert not any(np.array_equal(first[name], second[name]) for name in first if name.endswith("weight"))


@pytest.mark.parametrize("options", [options for data, options in SCENARIOS if data.spec.source == "blobs"])
def test_going_on_from_any_checkpoint_gives_the_same_bits(options: dict[str, Any]) -> None:
    """Fails without any of these in the state: optimizer slots, each member's generator, its best, its average."""
    data = blobs()
    plans = plans_for(data, members=3, **options)
    whole = events_of(train_stack(plans, data, checkpoint_every=1e-9))
    checkpoints = [e.state for e in whole if isinstance(e, Checkpoint)]
    assert len(checkpoints) > 8
    for state in checkpoints[1::5]:
        rest = events_of(train_stack(plans, data, state=state))
        for key, predictor in said_by(rest).items():
            expected = said_by(whole)[key]
            for name, array in (predictor.weights or {}).items():
                assert np.array_equal(array, (expected.weights or {})[name]), (key, name)
            for part, array in predictor.predictions.items():
                assert np.array_equal(array, expected.predictions[part])
        for member, history in histories(rest).items():
            assert [p.loss for p in history] == [p.loss for p in histories(whole)[member]]


def test_a_member_that_diverges_is_over_and_the_others_do_not_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loss is made infinite in the second epoch; without the zeros, checkpoints would hold what is not finite."""
    data = blobs()
    plans = plans_for(data, members=3)
    undisturbed = said_by(events_of(train_stack(plans, data)))
    steps = 0
    real = stacked.clip_each

    def clip_each(gradients: list[torch.Tensor], **how: Any) -> tuple[list[float], list[bool]]:
        nonlocal steps
        steps += 1
        if steps == 7:
            for gradient in gradients:
                gradient[1] = float("nan")
        return real(gradients, **how)

    monkeypatch.setattr(stacked, "clip_each", clip_each)
    events = events_of(train_stack(plans, data, checkpoint_every=1e-9))
    (diverged,) = [e for e in events if isinstance(e, Diverged)]
    assert diverged.member == 1
    assert "epoch 2, step 6: loss" in diverged.evidence
    assert "gradient norm nan" in diverged.evidence
    found = said_by(events)
    assert {member for member, _, _ in found} == {0, 2}
    for key in found:
        weights = undisturbed[key].weights or {}
        assert all(np.array_equal(array, weights[name]) for name, array in (found[key].weights or {}).items())
    states = [e.state for e in events if isinstance(e, Checkpoint)]
    assert all(np.isfinite(a).all() for a in states[-1].arrays.values() if a.dtype.kind == "f")
    again = events_of(train_stack(plans, data, state=states[-1]))
    assert [e for e in again if isinstance(e, Diverged)] == [diverged]
    assert set(histories(again)) == {0, 2}


def test_where_all_diverge_nothing_is_left_to_train() -> None:
    data = line()
    options: dict[str, Any] = {"optimizer": "sgd", "loss": "mse", "batch_norm": "none", "epochs": 20}
    events = events_of(train_stack(plans_for(data, lr=1e6, schedule="constant", **options), data))
    assert sorted(e.member for e in events if isinstance(e, Diverged)) == [0, 1]
    assert not said_by(events)


def test_who_stopped_early_is_concluded_though_the_others_diverge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Member 0 runs out of patience after two epochs, the others diverge in the third: it was once forgotten then."""
    data = blobs()
    clip, validate, epochs = stacked.clip_each, stacked._validate, 0

    def worse_for_the_first(*args: Any) -> Any:
        nonlocal epochs
        epochs += 1
        return [(float(epochs), 0.5), *[(1.0 / epochs, 0.5)] * (len(validate(*args)) - 1)]

    def nan_in_the_third_epoch(gradients: list[torch.Tensor], **how: Any) -> tuple[list[float], list[bool]]:
        if epochs == 2:
            for gradient in gradients:
                gradient[1:] = float("nan")
        return clip(gradients, **how)

    monkeypatch.setattr(stacked, "_validate", worse_for_the_first)
    monkeypatch.setattr(stacked, "clip_each", nan_in_the_third_epoch)
    events = events_of(train_stack(plans_for(data, members=3, early_stop=1, epochs=6), data))
    assert sorted(e.member for e in events if isinstance(e, Diverged)) == [1, 2]
    assert {member: len(history) for member, history in histories(events).items()} == {0: 2}


def test_what_there_is_to_say_at_once_comes_as_one() -> None:
    """A worker waits for each of its messages to be heard. Seen to fail with a message for every event."""
    said = list(train_stack(plans_for(blobs(), members=3, epochs=2), blobs()))
    kinds = [[type(event) for event in at_once] for at_once in said]
    assert kinds == [[Started] * 3, [Progress] * 3, [Progress] * 3, *[[Predictor, Finished]] * 3]
