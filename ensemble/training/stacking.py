"""How many members are trained as one: a rule of network, batch and hardware, never a timing.

A step of a small network is mostly overhead, a fixed time for each operation whatever its size; a stack pays it once
for all its members. A large one is arithmetic, at which a matrix product of several members together is no faster, and
on a CPU slower, than theirs one after the other. So what decides is the arithmetic of one step.
"""

from __future__ import annotations

import torch
from torch import nn

from ensemble.config import RunConfig
from ensemble.data.dataset import DataSpec
from ensemble.errors import UsageError
from ensemble.functions import is_function_path
from ensemble.members.plan import MemberPlan, plan_members
from ensemble.nets.stacking import why_not_stacked
from ensemble.training.networks import make_net

LARGEST_STEP = 8_000_000
"""Weights times rows of a batch: above it the smallest stack is slower than its members alone. Fitted on two cores
without matrix units by ``python -m examples.benchmarks.stacking``; GPUs take the same, and could take more."""
LARGEST_STACK = 64
"""Beyond it a step costs the same for each member, and a stack that dies loses more."""
SMALLEST_STACK = 4
"""Two members together are slower than one after the other, three about as fast."""


def resolve_stack(config: RunConfig, spec: DataSpec, *, at_once: int) -> tuple[RunConfig, str]:
    """The configuration with ``stack`` written out, and why in words: saved, and kept by a resume and by growing.

    Args:
        config: Resolved otherwise.
        spec: Of the data.
        at_once: Members that fit on the hardware one beside the other: stacks are made no larger than keeps all of
            it at work.

    Raises:
        UsageError: a number was asked for, and these members cannot be trained as one.
    """
    asked = config.execution.stack
    plans = plan_members(config, spec)
    if isinstance(asked, int):
        reason = why_not_stackable(plans) if asked > 1 and len(plans) > 1 else None
        if reason is not None:
            raise UsageError(f"stack is {asked}, but {reason}; leave --stack out, or give 1")
        return config, "as asked for"
    size, reason = _advised(plans, at_once=at_once)
    return config.model_copy(
        update={"execution": config.execution.model_copy(update={"stack": size})}
    ), reason


def _advised(plans: tuple[MemberPlan, ...], *, at_once: int) -> tuple[int, str]:
    rounds = -(-len(plans) // (at_once * LARGEST_STACK))
    size = -(-len(plans) // (at_once * rounds))
    if size < SMALLEST_STACK:
        return 1, f"{len(plans)} members fill {at_once} places without stacks"
    step = step_size(plans[0])
    if step is None:
        return 1, "convolutions are faster alone"
    if step > LARGEST_STEP:
        return 1, f"a step of {step / 1e6:.1f} million products is faster alone"
    reason = why_not_stackable(plans)
    if reason is not None:
        return 1, reason
    return size, f"a step of {step / 1e6:.1f} million products is mostly overhead"


def step_size(plan: MemberPlan) -> int | None:
    """Products of a batch in one pass, weights × rows; None where layers that are not fully connected have weights."""
    net = make_net(plan, torch.device("cpu"))
    weighty = [
        module for module in net.modules() if any(p.ndim > 1 for p in module.parameters(recurse=False))
    ]
    if not all(isinstance(module, nn.Linear) for module in weighty):
        return None
    return plan.train.batch_size * sum(
        module.weight.numel() for module in weighty if isinstance(module, nn.Linear)
    )


def why_not_stackable(plans: tuple[MemberPlan, ...]) -> str | None:
    """Why members of one configuration cannot be trained as one, in words; None where they can."""
    plan = plans[0]
    if plan.net.heads > 1:
        return "members with heads are several networks already"
    if plan.resample == "disjoint":
        return "disjoint parts of the rows need not be equal in size"
    if is_function_path(plan.train.loss):
        return f"loss {plan.train.loss} takes the rows of one member"
    if plan.train.precision == "bfloat16":
        return "torch.func has no batch norm in bfloat16"
    reason = why_not_stacked([make_net(plan, torch.device("cpu")) for plan in plans[:2]], plan.shape)
    return None if reason is None else f"net {plan.net.net} cannot be stacked: {reason}"
