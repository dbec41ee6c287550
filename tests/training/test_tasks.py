"""What a worker runs: tasks that take turns in one process do not disturb one another or the caller."""

from __future__ import annotations

from itertools import chain, zip_longest

import numpy as np
import torch

from ensemble.training.events import Event, Predictor, Scored
from ensemble.training.tasks import Score, Train, run_task
from tests.scenarios import blobs, events_of, plans_for


def weights(events: list[Event]) -> np.ndarray:
    (predictor,) = [event for event in events if isinstance(event, Predictor)]
    assert predictor.weights is not None
    return np.concatenate([value.ravel() for value in predictor.weights.values()])


def test_tasks_may_take_turns() -> None:
    data = blobs()
    tasks = [Train((plan,)) for plan in plans_for(data, dropout=0.4)]
    alone = [weights(events_of(run_task(task, data))) for task in tasks]
    turns = list(zip_longest(*(chain.from_iterable(run_task(task, data)) for task in tasks)))
    together = [weights([event for event in column if event]) for column in zip(*turns, strict=True)]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_callers_generator_and_threads_are_left_alone() -> None:
    data = blobs()
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    for _ in run_task(Train((plans_for(data, dropout=0.4, cpus_per_member=1)[0],)), data):
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.get_num_threads() == threads


def test_score_predicts_what_the_member_predicted() -> None:
    data = blobs()
    plan = plans_for(data)[0]
    (predictor,) = [
        event for event in events_of(run_task(Train((plan,)), data)) if isinstance(event, Predictor)
    ]
    assert predictor.weights is not None
    ((scored,),) = run_task(Score("again", plan, predictor.weights), data)
    assert isinstance(scored, Scored)
    np.testing.assert_array_equal(scored.predictions["test"], predictor.predictions["test"])
    np.testing.assert_array_equal(scored.predictions["valid"], predictor.predictions["valid"])


def test_score_refreshes_batch_norm_by_training_rows() -> None:
    data = blobs()
    plan = plans_for(data)[0]
    (predictor,) = [
        event for event in events_of(run_task(Train((plan,)), data)) if isinstance(event, Predictor)
    ]
    weights = dict(predictor.weights or {})
    name = next(key for key in weights if key.endswith("running_mean"))
    weights[name] = weights[name] + 5
    ((scored,),) = run_task(Score("refreshed", plan, weights, refresh=True), data)
    assert isinstance(scored, Scored)
    assert not np.allclose(scored.weights[name], weights[name])
    accuracy = (scored.predictions["test"].argmax(1) == data.y[data.test]).mean()
    assert accuracy > 0.9
