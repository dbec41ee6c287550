"""The rule of stacks: small fully connected networks of which there are enough, and whoever asks is told why."""

from __future__ import annotations

from typing import Any

import pytest

from ensemble.data.dataset import Dataset
from ensemble.errors import UsageError
from ensemble.training.stacking import LARGEST_STACK, LARGEST_STEP, resolve_stack, step_size
from tests.scenarios import blobs, config_for, images, plans_for


def resolved(data: Dataset, *, at_once: int = 2, **options: Any) -> tuple[int | str, str]:
    config, why = resolve_stack(config_for(data, **options), data.spec, at_once=at_once)
    return config.execution.stack, why


@pytest.mark.parametrize(
    ("members", "at_once", "size"),
    [(3, 1, 1), (4, 1, 4), (5, 2, 1), (7, 2, 4), (100, 2, 50), (200, 2, 50), (10_000, 4, 63), (100, 50, 1)],
)
def test_stacks_are_as_large_as_keeps_the_hardware_at_work(members: int, at_once: int, size: int) -> None:
    assert resolved(blobs(), members=members, at_once=at_once)[0] == size
    assert size <= LARGEST_STACK


def test_a_step_is_measured_in_products() -> None:
    (plan, *_) = plans_for(blobs(), hidden=(16,), batch_size=32)
    assert step_size(plan) == 32 * (4 * 16 + 16 * 3)


def test_large_networks_and_convolutions_are_faster_alone() -> None:
    wide = LARGEST_STEP // 16 // 7 + 1  # 4 inputs, 3 outputs, batches of 16
    assert resolved(blobs(), members=20, hidden=(wide,))[0] == 1
    assert "faster alone" in resolved(blobs(), members=20, hidden=(wide,))[1]
    assert resolved(blobs(), members=20, hidden=(wide - 1,))[0] == 10
    assert resolved(images(), members=20, net="convnet", hidden=(4,)) == (1, "convolutions are faster alone")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"heads": 2}, "several networks already"),
        ({"precision": "bfloat16"}, "no batch norm in bfloat16"),
        ({"resample": "disjoint"}, "need not be equal in size"),
        ({"loss": "tests.training.test_losses:returns_a_pair"}, "takes the rows of one member"),
        ({"net": "tests.nets.users:Functional", "hidden": None}, "cannot be stacked: it draws random"),
    ],
)
def test_what_cannot_be_stacked_is_trained_alone_or_refused_when_asked_for(
    options: dict[str, Any], reason: str
) -> None:
    size, why = resolved(blobs(), members=20, **options)
    assert size == 1
    assert reason in why
    with pytest.raises(UsageError, match=f"stack is 4, but .*{reason}"):
        resolved(blobs(), members=20, stack=4, **options)
    assert resolved(blobs(), members=20, stack=1, **options)[0] == 1


def test_what_is_asked_for_is_done() -> None:
    assert resolved(images(), members=4, stack=2, net="convnet", hidden=(4,)) == (2, "as asked for")
