"""Who the members are: one frozen, complete, JSON-serialisable plan each, made before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from ensemble.config import NetConfig, RunConfig, Section, TrainConfig
from ensemble.data.dataset import DataSpec
from ensemble.errors import UsageError


class MemberPlan(Section):
    """The only configuration that reaches a worker; with the data it determines the member bit for bit."""

    index: int
    seed: int
    resample: Literal["none", "bootstrap", "disjoint"]
    parts: int | None = None
    """Of how many disjoint parts the member's is the ``index``-th. A plan knows nothing else of the ensemble's size,
    so that growing changes nobody."""
    stack: tuple[int, int] | None = None
    """First and last index of the members it is trained together with, which decides its last bits; None alone."""
    shape: tuple[int, ...]
    outputs: int
    """Width of the network's output: classes, or 1 (mean) or 2 (mean and variance) for regression."""
    net: NetConfig
    train: TrainConfig
    threads: int
    dropout_samples: int = 0

    @property
    def name(self) -> str:
        """Its directory's name under ``members/``: ``007``."""
        return f"{self.index:03d}"


LEARNING_RATES = {"sgd": 0.05, "adam": 1e-3, "adamw": 1e-3}
DEEP_LEARNING_RATES = {"sgd": 0.05, "adam": 3e-3, "adamw": 3e-3}
"""Of convnet and resnet: batch norm takes the scale out of He's large weights, which makes Adam's steps small beside
them. On held-out training rows of Fashion-MNIST a convnet reached 0.924 with 0.001 and 0.936 with 0.003."""
WEIGHT_DECAYS = {"sgd": 5e-4, "adam": 0.0, "adamw": 1e-2}
DROPOUTS = {"mlp": 0.1, "lenet": 0.0, "convnet": 0.1, "resnet": 0.0}
SMALLEST_IMAGE = 16
"""Below this side, ``auto`` takes an mlp: there is nothing left to convolve after two poolings."""


def resolve(config: RunConfig, spec: DataSpec) -> RunConfig:
    """The configuration with every ``auto`` and dependent default written out that the data alone decide.

    Raises:
        UsageError: options that do not fit the task of the data.
    """
    images = len(spec.shape) == 3 and min(spec.shape[1:]) >= SMALLEST_IMAGE
    net = config.net.net if config.net.net != "auto" else ("convnet" if images else "mlp")
    train = config.train
    loss = train.loss
    if loss == "auto":
        loss = "cross_entropy" if spec.task == "classification" else "gaussian"
    fits = {"cross_entropy": "classification", "gaussian": "regression", "mse": "regression"}
    if fits.get(loss, spec.task) != spec.task:
        raise UsageError(f"loss {loss} is for {fits[loss]}, but the task is {spec.task}")
    if spec.task == "regression" and config.ensemble.combine == "vote":
        raise UsageError("combine vote has no meaning for regression; use average, parameters or greedy")
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"task": spec.task, "standardize": spec.standardize}),
            "net": config.net.model_copy(
                update={
                    "net": net,
                    "dropout": DROPOUTS.get(net, 0.0) if config.net.dropout is None else config.net.dropout,
                }
            ),
            "train": train.model_copy(
                update={
                    "loss": loss,
                    "momentum": 0.9
                    if train.optimizer == "sgd" and train.momentum is None
                    else train.momentum,
                    "lr": _learning_rate(net, train.optimizer) if train.lr is None else train.lr,
                    "weight_decay": WEIGHT_DECAYS[train.optimizer]
                    if train.weight_decay is None
                    else train.weight_decay,
                }
            ),
            "execution": config.execution.model_copy(
                update={"min_members": config.execution.min_members or 1}
            ),
        }
    )


def _learning_rate(net: str, optimizer: str) -> float:
    return (DEEP_LEARNING_RATES if net in ("convnet", "resnet") else LEARNING_RATES)[optimizer]


def outputs_of(config: RunConfig, spec: DataSpec) -> int:
    """Width of the network's output for this task and loss."""
    if spec.task == "classification":
        return len(spec.classes)
    return 2 if config.train.loss == "gaussian" else 1


def plan_members(
    config: RunConfig, spec: DataSpec, *, cohorts: tuple[int, ...] | None = None
) -> tuple[MemberPlan, ...]:
    """The plans of all members of a resolved configuration.

    Args:
        config: With ``stack`` as a number, else members are planned alone.
        spec: Of the data.
        cohorts: Members that the run began with, and those added each time it grew: a stack holds members of one
            cohort, so that growing changes nobody. None: all at once.
    """
    size = config.execution.stack if isinstance(config.execution.stack, int) else 1
    stacks = {
        index: (first, last)
        for first, last in _stacks(cohorts or (config.ensemble.members,), size)
        if last > first
        for index in range(first, last + 1)
    }
    return tuple(
        MemberPlan(
            index=index,
            parts=config.ensemble.members if config.ensemble.resample == "disjoint" else None,
            seed=config.ensemble.seed,
            resample=config.ensemble.resample,
            stack=stacks.get(index),
            shape=spec.shape,
            outputs=outputs_of(config, spec),
            net=config.net,
            train=config.train,
            threads=max(1, int(config.execution.cpus_per_member)),
            dropout_samples=config.ensemble.dropout_samples,
        )
        for index in range(config.ensemble.members)
    )


def trained_together(plans: Iterable[MemberPlan]) -> list[tuple[MemberPlan, ...]]:
    """The plans by stack, in their order; a member that is trained alone is a stack of one."""
    stacks: dict[tuple[int, int], list[MemberPlan]] = {}
    for plan in plans:
        stacks.setdefault(plan.stack or (plan.index, plan.index), []).append(plan)
    return [tuple(stack) for stack in stacks.values()]


def _stacks(cohorts: tuple[int, ...], size: int) -> Iterator[tuple[int, int]]:
    """First and last index of each stack: as few as hold ``size`` at most, and as equal as can be."""
    start = 0
    for members in cohorts:
        count = -(-members // size)
        for part in range(count):
            yield start - (-part * members // count), start - (-(part + 1) * members // count) - 1
        start += members
