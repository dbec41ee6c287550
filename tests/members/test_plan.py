"""Resolving a configuration: every auto written out, and what does not fit the task refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.config import make_config
from ensemble.errors import UsageError
from ensemble.members.plan import MemberPlan, plan_members, resolve, trained_together
from tests.scenarios import blobs, config_for, images, line


@pytest.mark.parametrize(
    ("data", "net"),
    [(blobs(), "mlp"), (images(side=8), "mlp"), (images(side=16), "convnet"), (line(), "mlp")],
)
def test_auto_takes_a_net_that_fits_the_rows(data: Any, net: str) -> None:
    assert resolve(make_config({}), data.spec).net.net == net


def test_every_auto_is_written_out() -> None:
    resolved = resolve(make_config({}), blobs().spec)
    assert resolved.train.loss == "cross_entropy"
    assert resolved.train.lr == 0.001
    assert resolved.train.weight_decay == 0
    assert resolved.net.dropout is not None
    sgd = resolve(make_config({"optimizer": "sgd"}), blobs().spec).train
    assert (sgd.lr, sgd.weight_decay) == (0.05, 5e-4)
    assert resolve(make_config({}), line().spec).train.loss == "gaussian"


def test_what_was_asked_for_is_kept() -> None:
    resolved = resolve(make_config({"lr": 0.3, "dropout": 0.0, "net": "lenet"}), images().spec)
    assert (resolved.train.lr, resolved.net.dropout, resolved.net.net) == (0.3, 0.0, "lenet")


@pytest.mark.parametrize(
    ("options", "data", "message"),
    [
        ({"loss": "mse"}, blobs(), "loss mse is for regression, but the task is classification"),
        ({"loss": "cross_entropy"}, line(), "loss cross_entropy is for classification"),
        ({"combine": "vote"}, line(), "combine vote has no meaning for regression"),
    ],
)
def test_what_does_not_fit_the_task_is_refused(options: dict[str, Any], data: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(make_config(options), data.spec)


@pytest.mark.parametrize(
    ("options", "data", "outputs"), [({}, blobs(), 3), ({}, line(), 2), ({"loss": "mse"}, line(), 1)]
)
def test_the_width_of_the_output_follows_task_and_loss(
    options: dict[str, Any], data: Any, outputs: int
) -> None:
    config = resolve(make_config(options), data.spec)
    assert {plan.outputs for plan in plan_members(config, data.spec)} == {outputs}


def test_plans_do_not_depend_on_how_many_there_are() -> None:
    few, many = (
        plan_members(resolve(make_config({"members": n}), blobs().spec), blobs().spec) for n in (2, 5)
    )
    assert many[:2] == few
    assert type(few[0]).model_validate_json(few[0].model_dump_json()) == few[0]


@given(
    cohorts=st.lists(st.integers(1, 40), min_size=1, max_size=4).map(tuple),
    size=st.integers(1, 50),
    added=st.integers(1, 40),
)
def test_stacks_hold_neighbours_of_one_cohort_and_growing_changes_nobody(
    cohorts: tuple[int, ...], size: int, added: int
) -> None:
    """Fails where stacks are cut from all members at once: the last stack would then take new members in."""
    data = blobs()

    def plans(cohorts: tuple[int, ...]) -> tuple[MemberPlan, ...]:
        config = config_for(data, members=sum(cohorts), stack=size)
        return plan_members(config, data.spec, cohorts=cohorts)

    before = plans(cohorts)
    assert plans((*cohorts, added))[: len(before)] == before
    stacks = trained_together(before)
    assert [plan.index for stack in stacks for plan in stack] == list(range(len(before)))
    starts = set(np.cumsum(cohorts).tolist())
    for stack in stacks:
        assert len(stack) <= size
        assert not starts & set(range(stack[0].index + 1, stack[-1].index + 1))
        ends = (stack[0].index, stack[-1].index)
        assert {plan.stack for plan in stack} == {ends if len(stack) > 1 else None}
    first = [len(stack) for stack in stacks if stack[-1].index < cohorts[0]]
    assert max(first) - min(first) <= 1
