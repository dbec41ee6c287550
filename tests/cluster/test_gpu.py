"""Members that share one GPU."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from cluster import open_pool
from cluster.ray_pool import RayPool
from ensemble.data.dataset import Dataset
from ensemble.members.plan import plan_members
from ensemble.runs.pool import Message, Pool, SerialPool
from ensemble.training.events import Failed, Predictor, Started
from ensemble.training.tasks import Train
from tests.devices import GPU
from tests.scenarios import config_for, images

OPTIONS: dict[str, dict[str, Any]] = {
    "cpu": {"workers": 2},
    "cuda": {"workers": 2, "gpus_per_member": 0.5},
}


@pytest.mark.ray
@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.chaos), GPU])
def test_two_members_share_a_gpu_and_have_the_bits_of_one_after_the_other(device: str) -> None:
    data = images()
    options = {"net": "convnet", "hidden": (4,), "dropout": 0.2, "epochs": 8}
    config = config_for(data, **options | {"pool": "ray"} | OPTIONS[device])
    tasks = [Train((plan,)) for plan in plan_members(config, data.spec)]
    pool = open_pool(config.execution, members=2)
    assert isinstance(pool, RayPool)
    while not all(
        worker.ready for worker in pool._workers
    ):  # else the first may be done before the other begins
        pool.poll(0.1)
    together = finish(pool, tasks, data)
    started = [message.event for message in together if isinstance(message.event, Started)]
    assert {event.device for event in started} == {device}
    assert len({event.pid for event in started}) == 2
    one_by_one = finish(SerialPool(), tasks, data)
    for one, other in zip(weights(together), weights(one_by_one), strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)


def finish(pool: Pool, tasks: list[Train], data: Dataset) -> list[Message]:
    try:
        pool.share(data)
        for task in tasks:
            pool.submit(task, attempt=1)
        messages: list[Message] = []
        deadline = time.monotonic() + 120
        while sum(message.event is None for message in messages) < len(tasks):
            assert time.monotonic() < deadline, messages
            messages += pool.poll(0.5)
            assert not [message for message in messages if isinstance(message.event, Failed)], messages
        return messages
    finally:
        pool.close()


def weights(messages: list[Message]) -> list[dict[str, Any]]:
    said = [message.event for message in messages if isinstance(message.event, Predictor)]
    return [event.weights or {} for event in sorted(said, key=lambda event: event.member)]
