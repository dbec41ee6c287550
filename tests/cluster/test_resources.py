"""How many workers, and what each gets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.resources import MEBIBYTE, Node, lacking, object_store, plan_workers, resized
from ensemble.config import ExecutionConfig
from ensemble.errors import UsageError

LAPTOP = (Node(cpus=4, gpus=0),)
WORKSTATION = (Node(cpus=16, gpus=2),)
TWO_NODES = (Node(cpus=6, gpus=0), Node(cpus=6, gpus=1))


def plan(nodes: tuple[Node, ...], members: int = 100, **options: Any) -> tuple[int, float, float, int]:
    chosen = plan_workers(ExecutionConfig(**options), members=members, nodes=nodes)
    return chosen.workers, chosen.num_cpus, chosen.num_gpus, chosen.threads


@pytest.mark.parametrize(
    ("nodes", "options", "expected"),
    [
        (LAPTOP, {}, (4, 1, 0, 1)),
        (LAPTOP, {"members": 3}, (3, 1, 0, 1)),
        (LAPTOP, {"members": 3, "workers": 4}, (4, 1, 0, 1)),
        (LAPTOP, {"workers": 2}, (2, 1, 0, 1)),
        (LAPTOP, {"cpus_per_member": 2}, (2, 2, 0, 2)),
        (LAPTOP, {"cpus_per_member": 1.5}, (2, 1.5, 0, 1)),
        (LAPTOP, {"cpus_per_member": 0.1}, (40, 0.1, 0, 1)),
        (LAPTOP, {"cpus_per_member": 4}, (1, 4, 0, 4)),
        (WORKSTATION, {}, (2, 1, 1, 1)),
        (WORKSTATION, {"gpus_per_member": 0}, (16, 1, 0, 1)),
        (WORKSTATION, {"gpus_per_member": 0.25}, (8, 1, 0.25, 1)),
        (WORKSTATION, {"gpus_per_member": 0.75}, (2, 1, 0.75, 1)),
        (WORKSTATION, {"gpus_per_member": 2}, (1, 1, 2, 1)),
        (WORKSTATION, {"gpus_per_member": 0.1, "cpus_per_member": 4}, (4, 4, 0.1, 4)),
        # A worker lies on one node: 12 CPUs hold two members of 4, not three.
        (TWO_NODES, {"cpus_per_member": 4, "gpus_per_member": 0}, (2, 4, 0, 4)),
        (TWO_NODES, {}, (1, 1, 1, 1)),
    ],
)
def test_as_many_as_fit_and_no_more_than_members(
    nodes: tuple[Node, ...], options: dict[str, Any], expected: tuple[float, ...]
) -> None:
    assert plan(nodes, **options) == expected


def test_without_gpus_members_train_on_cpus_and_it_is_said() -> None:
    chosen = plan_workers(ExecutionConfig(gpus_per_member=0.5), members=2, nodes=LAPTOP)
    assert (chosen.num_gpus, chosen.workers) == (0, 2)
    assert chosen.notes == ("gpus-per-member is 0.5, but there is no GPU: members train on CPUs",)
    assert plan_workers(ExecutionConfig(), members=2, nodes=LAPTOP).notes == ()


@pytest.mark.parametrize(
    ("nodes", "options", "message"),
    [
        (LAPTOP, {"workers": 5}, "workers is 5, but with 1 CPU a member at most 4 fit on 4 CPUs .1 node."),
        (
            WORKSTATION,
            {"workers": 3},
            "3, but with 1 CPU and 1 GPU a member at most 2 fit on 16 CPUs and 2 GPUs",
        ),
        (LAPTOP, {"cpus_per_member": 8}, "a member asks for 8 CPUs, but the largest node has 4 CPUs"),
        (
            TWO_NODES,
            {"gpus_per_member": 2},
            "asks for 1 CPU and 2 GPUs, but the largest node has 6 CPUs and 1 GPU",
        ),
        (WORKSTATION, {"gpus_per_member": 1.5}, "gpus-per-member is 1.5: .* must be whole"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_there_is(
    nodes: tuple[Node, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        plan(nodes, **options)


@given(
    nodes=st.lists(st.builds(Node, cpus=st.integers(1, 64), gpus=st.integers(0, 8)), min_size=1, max_size=4),
    members=st.integers(1, 50),
    cpus=st.sampled_from([0.5, 1, 1.5, 2, 4]),
)
def test_workers_fit_within_the_cluster(nodes: list[Node], members: int, cpus: float) -> None:
    try:
        chosen = plan_workers(ExecutionConfig(cpus_per_member=cpus), members=members, nodes=nodes)
    except UsageError:
        assert all(node.cpus < cpus or (node.gpus == 0 and any(n.gpus for n in nodes)) for node in nodes)
        return
    assert 1 <= chosen.workers <= members
    assert chosen.workers * chosen.num_cpus <= sum(node.cpus for node in nodes)
    assert chosen.workers * chosen.num_gpus <= sum(node.gpus for node in nodes)
    assert chosen.threads == max(1, int(cpus))


GIB = 1024 * MEBIBYTE


@pytest.mark.parametrize(
    ("memory", "shared", "size", "on_disk"),
    [
        (10 * GIB, 100 * GIB, 3 * GIB, False),  # Ray's own share
        (100 * GIB, 10 * GIB, 9 * GIB, False),  # what /dev/shm holds, a little left free
        (8 * GIB, 64 * MEBIBYTE, int(2.4 * GIB), True),  # a container's default
        (8 * GIB, 0, int(2.4 * GIB), True),
        (0, GIB, 100 * MEBIBYTE, False),  # Ray's least
    ],
)
def test_the_object_store_takes_what_is_free(memory: int, shared: int, size: int, on_disk: bool) -> None:
    chosen, note = object_store(memory=memory, shared=shared)
    assert chosen == pytest.approx(size, abs=1)
    assert (note is not None) == on_disk
    if note is not None:
        assert f"/dev/shm has {shared // MEBIBYTE} MiB free" in note


CLUSTER = (
    Node(cpus=4, gpus=0, others={"licence": 1}),
    Node(cpus=8, gpus=2, others={"licence": 3}),
)


@pytest.mark.parametrize(
    ("options", "workers", "on_cpus"),
    [
        ({}, 2, 0),
        ({"cpu_nodes": True}, 6, 4),
        ({"cpu_nodes": True, "gpus_per_member": 0.25}, 12, 4),
        ({"cpu_nodes": True, "gpus_per_member": 0}, 12, 0),
        ({"cpu_nodes": True, "workers": 1}, 1, 0),
        ({"resources": {"licence": 1}, "gpus_per_member": 0}, 4, 0),
        ({"resources": {"licence": 0.5}}, 2, 0),
        ({"resources": {"licence": 1.5}, "gpus_per_member": 0.25}, 2, 0),
    ],
)
def test_members_of_both_kinds_and_custom_resources(
    options: dict[str, Any], workers: int, on_cpus: int
) -> None:
    chosen = plan_workers(ExecutionConfig(**options), members=100, nodes=CLUSTER)
    assert (chosen.workers, chosen.cpu_workers) == (workers, on_cpus)


def test_nodes_that_stay_idle_are_named() -> None:
    (note,) = plan_workers(ExecutionConfig(), members=100, nodes=CLUSTER).notes
    assert note == "nodes without a GPU would hold 4 more members: --cpu-nodes trains there too"
    assert not plan_workers(ExecutionConfig(cpu_nodes=True), members=100, nodes=CLUSTER).notes


def test_a_resource_that_no_node_has_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"asks for 1 CPU, 1 GPU and 2 tpu, but the largest node has .* 0 tpu"
    ):
        plan_workers(ExecutionConfig(resources={"tpu": 2}), members=1, nodes=CLUSTER)


def test_workers_follow_the_nodes_where_nobody_fixed_them() -> None:
    few, many = LAPTOP, LAPTOP * 5
    free = plan_workers(ExecutionConfig(), members=6, nodes=few, elastic=True)
    assert [resized(free, nodes).workers for nodes in (few, many, few, ())] == [4, 6, 4, 1]
    for fixed in (
        plan_workers(ExecutionConfig(workers=2), members=6, nodes=few, elastic=True),
        plan_workers(ExecutionConfig(), members=6, nodes=few),
    ):
        assert resized(fixed, many) == fixed


def test_what_is_lacking_is_named() -> None:
    chosen = plan_workers(ExecutionConfig(resources={"licence": 1}), members=3, nodes=CLUSTER)
    total = {"CPU": 12.0, "GPU": 2.0, "licence": 4.0}
    free = {"CPU": 2.0, "GPU": 1.0, "licence": 1.0}
    assert lacking(chosen, free=free, total=total) is None
    assert lacking(chosen, free=free | {"GPU": 0.0}, total=total) == "waiting for 1 GPU: 2 of 2 in use"
    assert (
        lacking(chosen, free=free | {"licence": 0.5}, total=total) == "waiting for 1 licence: 3.5 of 4 in use"
    )
    assert lacking(chosen, free={}, total=total) == "waiting for 1 GPU: 2 of 2 in use"
