"""The optimizers of a run, without a second of imports that nobody needs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch
from torch import Tensor

from ensemble.members.plan import MemberPlan


def make_optimizer(plan: MemberPlan, parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
    """Fused kernels: one pass over the parameters a step, on CPUs as on GPUs."""
    train = plan.train
    assert train.lr is not None
    assert train.weight_decay is not None
    _leave_the_compiler_out()
    if train.optimizer == "sgd":
        assert train.momentum is not None
        return torch.optim.SGD(
            parameters, lr=train.lr, momentum=train.momentum, weight_decay=train.weight_decay, fused=True
        )
    kind = torch.optim.Adam if train.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=train.lr, weight_decay=train.weight_decay, fused=True)


def take_step(optimizer: torch.optim.Optimizer) -> None:
    """``optimizer.step()`` without what is wrapped around it for torch's compiler, see below."""
    step = inspect.unwrap(type(optimizer).step)
    with torch.no_grad():
        step(optimizer)


def _leave_the_compiler_out() -> None:
    """Spare the process `torch._dynamo`, 800 modules that take as long to import as torch itself.

    These methods are wrapped so that torch's compiler leaves them alone, and the wrapper imports it at the first call
    to see to that, unless it finds that done. Nothing is compiled here. Where a release of torch wraps them otherwise,
    this changes nothing, and the second is spent.
    """
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        method = getattr(getattr(torch.optim.Optimizer, name), "__wrapped__", None)
        if method is not None and not hasattr(method, "__dynamo_disable"):
            setattr(method, "__dynamo_disable", method)
