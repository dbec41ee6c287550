"""What a member gets, and how many are trained at once. Pure functions of the options and of what there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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


def threads_of(execution: ExecutionConfig) -> int:
    """Torch threads of a member: its whole CPUs, at least one."""
    return max(1, int(execution.cpus_per_member))


def plan_workers(execution: ExecutionConfig, *, members: int, nodes: Sequence[Node]) -> WorkerPlan:
    """As many workers as fit on the nodes, at most one a member, or exactly ``--workers``.

    A worker lies on one node, so the rest of each node is lost: two nodes of 6 CPUs hold two members of 4, not three.

    Raises:
        UsageError: more workers than fit, a member larger than any node, or more than one GPU that is not whole.
    """
    cpus = execution.cpus_per_member
    gpus, notes = _gpus_of_member(execution, available=any(node.gpus > 0 for node in nodes))
    fit = sum(_fit(node, cpus=cpus, gpus=gpus) for node in nodes)
    if fit == 0:
        node = max(nodes, key=lambda node: (node.gpus, node.cpus) if gpus else (node.cpus, node.gpus))
        raise UsageError(
            f"a member asks for {_amounts(cpus, gpus)}, but the largest node has {_amounts(node.cpus, node.gpus)}; "
            "lower --cpus-per-member or --gpus-per-member"
        )
    if execution.workers is not None and execution.workers > fit:
        total = _amounts(sum(node.cpus for node in nodes), sum(node.gpus for node in nodes))
        raise UsageError(
            f"workers is {execution.workers}, but with {_amounts(cpus, gpus)} a member at most {fit} fit on "
            f"{total} ({_count(len(nodes), 'node')}); lower --workers or --cpus-per-member"
        )
    workers = execution.workers if execution.workers is not None else min(members, fit)
    return WorkerPlan(workers, num_cpus=cpus, num_gpus=gpus, threads=threads_of(execution), notes=notes)


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


def _fit(node: Node, *, cpus: float, gpus: float) -> int:
    by_cpus = math.floor(node.cpus / cpus + 1e-9)
    if gpus == 0:
        return by_cpus
    # A fraction is a share of one GPU: three halves do not make a member's 0.75 twice.
    by_gpus = (
        int(node.gpus) * math.floor(1 / gpus + 1e-9) if gpus < 1 else math.floor(node.gpus / gpus + 1e-9)
    )
    return min(by_cpus, by_gpus)


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


def _amounts(cpus: float, gpus: float) -> str:
    parts = [_count(cpus, "CPU")]
    if gpus:
        parts.append(_count(gpus, "GPU"))
    return " and ".join(parts)


def _count(number: float, noun: str) -> str:
    return f"{_number(number)} {noun}{'' if number == 1 else 's'}"


def _number(value: float) -> str:
    return f"{value:g}"
