"""What a member gets, and how many are trained at once. Pure functions of the options and of what there is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ensemble.config import ExecutionConfig
from ensemble.errors import UsageError

MEBIBYTE = 2**20
STORE_SHARE = 0.3
"""Ray's own share of the free memory for its object store; pages are taken only when they are written."""
SMALLEST_SHM_STORE = 256 * MEBIBYTE
"""Below this, a store in shared memory holds too little beside the data, and lies on disk instead."""
SMALLEST_STORE = 100 * MEBIBYTE
"""Ray refuses less than 75 MiB."""


@dataclass(frozen=True)
class Node:
    """One machine of the cluster."""

    cpus: float
    gpus: float
    others: Mapping[str, float] = field(default_factory=dict)
    """Custom resources by name."""
    store: float = math.inf
    """Bytes of its object store."""


@dataclass(frozen=True)
class WorkerPlan:
    """So many workers, each with so much."""

    workers: int
    num_cpus: float
    num_gpus: float
    threads: int
    """Of torch, in every worker; they change bits, so they follow from ``cpus_per_member`` alone."""
    notes: tuple[str, ...] = ()
    """What was decided otherwise than asked for, and has to be said."""
    others: Mapping[str, float] = field(default_factory=dict)
    """Custom resources of a worker."""
    cpu_workers: int = 0
    """Of the workers, those that take no GPU, on nodes that have none."""
    cpu_nodes: bool = False
    """Whether there may be such workers."""
    most: int | None = None
    """Where the number of workers follows the nodes that there are, its bound; None where it is fixed."""


def threads_of(execution: ExecutionConfig) -> int:
    """Torch threads of a member: its whole CPUs, at least one."""
    return max(1, int(execution.cpus_per_member))


def plan_workers(
    execution: ExecutionConfig, *, members: int, nodes: Sequence[Node], elastic: bool = False
) -> WorkerPlan:
    """As many workers as fit on the nodes, at most one a member, or exactly ``--workers``.

    A worker lies on one node, so the rest of each node is lost: two nodes of 6 CPUs hold two members of 4, not three.

    Args:
        execution: Workers, and what a member gets.
        members: Size of the ensemble: more workers would idle.
        nodes: What there is.
        elastic: Whether nodes may come and go; then the number of workers follows them, unless ``--workers`` fixes it.

    Raises:
        UsageError: more workers than fit, a member larger than any node, or more than one GPU that is not whole.
    """
    gpus, notes = _gpus_of_member(execution, available=any(node.gpus > 0 for node in nodes))
    plan = WorkerPlan(
        0,
        num_cpus=execution.cpus_per_member,
        num_gpus=gpus,
        threads=threads_of(execution),
        others=dict(execution.resources),
        cpu_nodes=execution.cpu_nodes and gpus > 0,
    )
    asked = _amounts(plan.num_cpus, gpus, plan.others)
    on_gpus, on_cpus = _fit_on(nodes, plan)
    fit = on_gpus + on_cpus
    if fit == 0:
        largest = max(
            nodes,
            key=lambda node: (
                *(node.others.get(name, 0) for name in plan.others),
                node.gpus * bool(gpus),
                node.cpus,
            ),
        )
        has = _amounts(
            largest.cpus, largest.gpus, {name: largest.others.get(name, 0) for name in plan.others}
        )
        options = ["cpus-per-member", "gpus-per-member", *(["resources"] if plan.others else [])]
        raise UsageError(
            f"a member asks for {asked}, but the largest node has {has}; lower --{' or --'.join(options)}"
        )
    if execution.workers is not None and execution.workers > fit:
        total = _amounts(
            sum(node.cpus for node in nodes),
            sum(node.gpus for node in nodes),
            {name: sum(node.others.get(name, 0) for node in nodes) for name in plan.others},
        )
        raise UsageError(
            f"workers is {execution.workers}, but with {asked} a member at most {fit} fit on "
            f"{total} ({_count(len(nodes), 'node')}); lower --workers or --cpus-per-member"
        )
    idle = _fit_on(nodes, replace(plan, cpu_nodes=gpus > 0))[1] - on_cpus
    if idle and len(nodes) > 1:
        notes = (
            *notes,
            f"nodes without a GPU would hold {_count(idle, 'more member')}: --cpu-nodes trains there too",
        )
    fixed = execution.workers is not None or not elastic
    bound = execution.workers if execution.workers is not None else members
    plan = resized(replace(plan, most=bound, notes=notes), nodes)
    return replace(plan, most=None) if fixed else plan


def resized(plan: WorkerPlan, nodes: Sequence[Node]) -> WorkerPlan:
    """The plan for the nodes that there are now: one worker at least, since others may come."""
    if plan.most is None:
        return plan
    on_gpus, on_cpus = _fit_on(nodes, plan)
    workers = max(1, min(plan.most, on_gpus + on_cpus))
    return replace(plan, workers=workers, cpu_workers=max(0, min(on_cpus, workers - on_gpus)))


def lacking(plan: WorkerPlan, *, free: Mapping[str, float], total: Mapping[str, float]) -> str | None:
    """What keeps the next worker from its place, in words; None where the cluster as a whole has it.

    Args:
        plan: What a worker takes.
        free, total: Amounts in the cluster by Ray's names.
    """
    for name, amount in ({"GPU": plan.num_gpus} | dict(plan.others) | {"CPU": plan.num_cpus}).items():
        there = total.get(name, 0.0)
        if amount > free.get(name, 0.0) + 1e-9:
            used = there - free.get(name, 0.0)
            return f"waiting for {amount:g} {name}: {used:g} of {there:g} in use"
    return None


def _gpus_of_member(execution: ExecutionConfig, *, available: bool) -> tuple[float, tuple[str, ...]]:
    asked = execution.gpus_per_member
    if asked is not None and asked > 1 and asked != int(asked):
        raise UsageError(
            f"gpus-per-member is {asked}: a fraction shares one GPU, more than one must be whole"
        )
    if available:
        return (1.0 if asked is None else asked), ()
    if asked:
        return 0.0, (f"gpus-per-member is {_number(asked)}, but there is no GPU: members train on CPUs",)
    return 0.0, ()


def places(nodes: Sequence[Node], plan: WorkerPlan) -> int:
    """How many members fit on the nodes one beside the other, however many workers were asked for."""
    return max(1, sum(_fit_on(nodes, plan)))


def _fit_on(nodes: Sequence[Node], plan: WorkerPlan) -> tuple[int, int]:
    """How many workers fit that take what the plan says, and how many more without a GPU on nodes without one."""
    full = sum(_fit(node, plan, gpus=plan.num_gpus) for node in nodes)
    return full, sum(_fit(node, plan, gpus=0) for node in nodes if plan.cpu_nodes and node.gpus == 0)


def _fit(node: Node, plan: WorkerPlan, *, gpus: float) -> int:
    fits = [math.floor(node.cpus / plan.num_cpus + 1e-9)]
    fits += [math.floor(node.others.get(name, 0) / amount + 1e-9) for name, amount in plan.others.items()]
    if gpus >= 1:
        fits.append(math.floor(node.gpus / gpus + 1e-9))
    elif gpus > 0:  # a share of one GPU: three halves do not make a member's 0.75 twice
        fits.append(int(node.gpus) * math.floor(1 / gpus + 1e-9))
    return min(fits)


def object_store(*, memory: int, shared: int) -> tuple[int, str | None]:
    """Size of a private object store in bytes, and a note where it cannot lie in shared memory.

    Args:
        memory: Free memory in bytes.
        shared: Free bytes of /dev/shm, where Ray puts the store if it fits.
    """
    wanted = max(int(STORE_SHARE * memory), SMALLEST_STORE)
    # A little is left free: other programs write to /dev/shm too.
    fits = int(0.9 * shared)
    if fits >= wanted:
        return wanted, None
    if fits >= SMALLEST_SHM_STORE:
        return fits, None
    return wanted, (
        f"/dev/shm has {shared // MEBIBYTE} MiB free, too little for the object store: it lies on disk, which is "
        "slower; in a container, give more with --shm-size=2g"
    )


def _amounts(cpus: float, gpus: float, others: Mapping[str, float]) -> str:
    parts = [_count(cpus, "CPU"), *([_count(gpus, "GPU")] if gpus else [])]
    parts += [f"{_number(amount)} {name}" for name, amount in others.items()]
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def _count(number: float, noun: str) -> str:
    return f"{_number(number)} {noun}{'' if number == 1 else 's'}"


def _number(value: float) -> str:
    return f"{value:g}"
