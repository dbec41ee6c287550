"""Optimizers: torch's own steps to the bit, and no second of imports before the first of them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from ensemble.training.optimizers import make_optimizer, take_step
from tests.scenarios import blobs, plans_for


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_step_is_torchs_own(optimizer: str) -> None:
    plan = plans_for(blobs(), optimizer=optimizer, weight_decay=0.01)[0]
    weights: list[Any] = [torch.nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4)) for _ in range(2)]
    ours, theirs = (make_optimizer(plan, [weight]) for weight in weights)
    for _ in range(4):
        for weight, made in zip(weights, (ours, theirs), strict=True):
            made.zero_grad()
            (weight**3).sum().backward()
        take_step(ours)
        theirs.step()
        assert torch.equal(*weights)
    assert not torch.equal(weights[0], torch.linspace(-1, 1, 12).view(3, 4))


@pytest.mark.parametrize("stack", [1, 2])
def test_training_does_not_import_torchs_compiler(stack: int) -> None:
    """It takes as long as torch itself. Fails with ``optimizer.step()`` in the loop, or without the preparation."""
    program = f"""
import sys
from ensemble.training.tasks import Train, run_task
from tests.scenarios import blobs, events_of, plans_for
data = blobs()
plans = plans_for(data, members={stack}, epochs=1)
assert type(events_of(run_task(Train(plans, checkpoint_every=1e-9), data))[-1]).__name__ == "Finished"
found = [name for name in sys.modules if name.startswith("torch._dynamo")]
assert not found, found[:3]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
