"""A cluster whose nodes come and go, are of several kinds, or are taken: who trains where, and what is said."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from cluster import open_pool, ray_pool
from cluster.ray_pool import RayPool
from cluster.resources import plan_workers, resized
from cluster.session import Session, start
from cluster.worker import MemberActor
from ensemble.config import ExecutionConfig
from ensemble.data.dataset import Dataset
from ensemble.errors import UsageError
from ensemble.members.plan import plan_members
from ensemble.runs.coordinator import train_members
from ensemble.runs.pool import Message, Pool, SerialPool
from ensemble.runs.store import RunStore
from ensemble.training.events import Failed, Notice, Progress, Scored, Started
from tests.cluster.nodes import RunningCluster, running_cluster
from tests.cluster.scripts import Act, perform
from tests.cluster.test_ray_pool import closed, collect, said, wait_until
from tests.scenarios import blobs, config_for, images

pytestmark = pytest.mark.ray
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    with running_cluster() as running, pytest.MonkeyPatch.context() as patch:
        running.let_in(patch)
        yield running


@pytest.fixture(scope="module")
def session(cluster: RunningCluster) -> Iterator[Session]:
    opened = start(ExecutionConfig(address=cluster.address), worker_environment=ENVIRONMENT)
    assert has_nodes(opened, 1), "nodes of earlier tests are still there"
    yield opened
    opened.close()


def has_nodes(session: Session, nodes: int) -> bool:
    """Whether there are so many nodes; a lost one is noticed after a few seconds."""
    return wait_until(lambda: session.look() and len(session.nodes) == nodes, within=60)


@contextmanager
def node(cluster: RunningCluster, session: Session, **options: Any) -> Iterator[str]:
    """A node that is there for a while."""
    name = cluster.add(**options)
    assert has_nodes(session, 2)
    try:
        yield name
    finally:
        cluster.drop(name)
    assert has_nodes(session, 1)


@contextmanager
def players(
    session: Session, *, members: int = 8, data: Dataset | None = None, **options: Any
) -> Iterator[RayPool]:
    """A pool of script players, its number of workers following the nodes."""
    plan = plan_workers(ExecutionConfig(**options), members=members, nodes=session.nodes, elastic=True)
    opened = RayPool(session, plan, worker_environment=ENVIRONMENT, run=perform)
    opened.share(data or blobs())
    try:
        yield opened
    finally:
        for one in opened._workers:
            ray.kill(one.actor)


def place_of(pool: RayPool, key: str) -> str:
    (node,) = [
        one.identity["node"]
        for one in pool._workers
        if one.attempt is not None and one.attempt.task.key == key
    ]
    return str(node)


def notices(messages: list[Message]) -> list[str]:
    return [message.event.text for message in messages if isinstance(message.event, Notice)]


def test_members_go_to_a_node_that_joins_and_come_back_from_one_that_leaves(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    """One node is lost half-way, another joins: done, and the bits are those of this process alone."""
    first = cluster.add(num_cpus=1)
    data = blobs(rows=3000)
    config = config_for(
        data, members=4, epochs=16, hidden=(64, 64), pool="ray", address=cluster.address, checkpoint_every=0.2
    )
    pool = open_pool(config.execution, members=4)
    assert isinstance(pool, RayPool)
    seen: list[Message] = []
    joined: list[str] = []
    nodes: dict[int, str] = {}
    places: list[str] = []

    def meddle(message: Message) -> None:
        seen.append(message)
        nodes.update({one.identity["pid"]: one.identity["node"] for one in pool._workers if one.identity})
        if isinstance(message.event, Started):
            places.append(nodes[message.event.pid])
        under_way = isinstance(message.event, Progress) and message.event.epoch > 3
        if under_way and not joined and set(places) == {first, pool._session.node_id}:
            cluster.drop(first)
            joined.append(cluster.add(num_cpus=2))

    try:
        disturbed = trained(tmp_path / "a", pool, data, meddle, config)
        assert pool.describe()["nodes"] == 2
    finally:
        pool.close()
        for node in joined or [first]:
            cluster.drop(node)
    undisturbed = trained(tmp_path / "b", SerialPool(), data, lambda message: None, config)
    assert disturbed == undisturbed
    assert joined[0] in places, "no member went to the node that joined"
    assert [m.event.cause for m in seen if isinstance(m.event, Failed)] == ["node_lost"]
    assert any(m.event.resumed_epoch for m in seen if isinstance(m.event, Started)), "nobody was resumed"
    assert any("nodes have joined the cluster" in text for text in notices(seen))


def trained(root: Path, pool: Pool, data: Dataset, observe: Any, config: Any) -> dict[str, str]:
    """Digests of what the members came to."""
    store = RunStore.create(root, data, config=config, functions={}, parameters=1, versions={})
    with store.hold():
        pool.share(data)
        plans = plan_members(config, data.spec)
        train_members(plans, store, data, pool, observe, config.execution)
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.glob("members/*/*.safetensors"))
    }


def test_what_no_node_can_ever_give_is_refused_at_once(cluster: RunningCluster) -> None:
    began = time.monotonic()
    execution = ExecutionConfig(address=cluster.address, resources={"licence": 1})
    with pytest.raises(
        UsageError, match=r"asks for 1 CPU and 1 licence, but the largest node has 1 CPU and 0"
    ):
        open_pool(execution, members=3)
    assert time.monotonic() - began < 30
    assert not ray.is_initialized()


@pytest.mark.chaos
def test_the_number_of_workers_follows_the_nodes(cluster: RunningCluster, session: Session) -> None:
    with players(session, members=3) as pool:
        assert pool.workers == 1
        name = cluster.add(num_cpus=4)
        for task in "abcd":
            pool.submit(Act(task, "linger"), attempt=1)
        seen = collect(pool, lambda seen: sum(isinstance(m.event, Started) for m in seen) == 3)
        assert pool.workers == 3, "never more than members"
        assert {place_of(pool, key) for key in pool.running()} == {name, session.node_id}
        assert notices(seen) == ["nodes have joined the cluster: members trained at once now 3, were 1"]
        cluster.drop(name)
        lost = collect(
            pool, lambda seen: any("trained at once now 1, were 3" in text for text in notices(seen))
        )
        assert {m.event.cause for m in lost if isinstance(m.event, Failed)} <= {"node_lost"}
        said = pool.describe()
        assert (said["nodes"], said["workers"]) == (1, 3), "efficiency is a share of the most there were"
    assert has_nodes(session, 1)


def test_a_fixed_number_of_workers_stays(session: Session) -> None:
    with players(session, workers=1) as pool:
        assert replace(pool._plan, most=8) != pool._plan
        assert resized(pool._plan, session.nodes * 5) == pool._plan


@pytest.mark.chaos
def test_a_full_cluster_is_waited_for_and_it_is_said_once(
    cluster: RunningCluster, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "WAIT_UNSAID", 1.0)
    with node(cluster, session, num_cpus=1, num_gpus=1, resources={"licence": 2}):
        holder = ray.remote(MemberActor).options(num_cpus=0, num_gpus=1).remote()
        ray.get(holder.hello.remote())
        with players(session, resources={"licence": 0.5}, gpus_per_member=0.25) as pool:
            pool.submit(Act("a", "count"), attempt=1)
            messages = collect(pool, said(Notice))
            deadline = time.monotonic() + 4
            while time.monotonic() < deadline:
                messages += pool.poll(0.5)
            assert notices(messages) == ["waiting for 0.25 GPU: 1 of 1 in use"]
            ray.kill(holder)
            collect(pool, closed("a"))


@pytest.mark.chaos
def test_members_with_and_without_a_gpu_train_side_by_side(cluster: RunningCluster, session: Session) -> None:
    """Two share the GPU of the one node, and one is on the other, which has none."""
    with (
        node(cluster, session, num_cpus=4, num_gpus=1) as name,
        players(session, gpus_per_member=0.5, cpu_nodes=True) as pool,
    ):
        assert (pool.workers, pool._plan.cpu_workers) == (3, 1)
        for task in "abc":
            pool.submit(Act(task, "linger"), attempt=1)
        collect(pool, lambda seen: sum(isinstance(m.event, Started) for m in seen) == 3)
        assert sorted(place_of(pool, key) == name for key in pool.running()) == [False, True, True]


def large_images() -> Dataset:
    """120 MiB, which is more than the stores of these nodes hold: 80 MiB."""
    small = images(rows=30, side=16)
    x = np.random.default_rng(0).integers(0, 255, size=(480_000, 1, 16, 16), dtype=np.uint8)
    return Dataset(small.spec, x, np.arange(len(x)) % 3, small.train, small.valid, small.test)


@pytest.mark.chaos
def test_data_larger_than_the_object_store_are_held_once_by_each_node(
    cluster: RunningCluster, session: Session
) -> None:
    """All workers of a node map one file, and their own memory does not grow with it."""
    data = large_images()
    with node(cluster, session, num_cpus=2) as name, players(session, data=images()) as pool:
        before = {pid: private_memory(pid) for _, pid, _ in looked(pool, 3)}
        for key in list(pool.running()):
            pool.cancel(key)
        pool.share(data)
        told = looked(pool, 3)
        # Pages that two processes map are private to neither; the head's only worker shares its with nobody.
        grown = [private_memory(pid) - before[pid] for place, pid, _ in told if place == name]
        assert len(grown) == 2
        assert max(grown) < data.x.nbytes / 4
        for place in (name, session.node_id):
            (file,) = {str(seen.predictions["shared"][0]) for at, _, seen in told if at == place}
            assert "plasma" in file
        assert {float(seen.predictions["sum"][0]) for *_, seen in told} == {
            float(data.x.sum(dtype=np.float64))
        }
        (note,) = pool.describe()["notes"]
        assert "are larger than the object store of a node (80 MiB)" in note


@pytest.mark.parametrize("seen_there", [True, False])
def test_rows_that_are_mapped_from_a_file_stay_there(
    cluster: RunningCluster,
    session: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seen_there: bool,
) -> None:
    small = images()
    np.save(tmp_path / "x.npy", small.x)
    data = replace(small, x=np.asarray(np.load(tmp_path / "x.npy", mmap_mode="r")))
    with players(session, data=data) as pool:
        if not seen_there:
            (tmp_path / "x.npy").rename(tmp_path / "elsewhere.npy")
        ((_, _, seen),) = looked(pool, 1)
        np.testing.assert_array_equal(seen.predictions["x"], small.x)
        file, (note,) = str(seen.predictions["shared"][0]), pool.describe()["notes"]
        path = str(tmp_path / "x.npy")
        if seen_there:
            assert (file, note) == (path, f"the rows are mapped from {path}, which 1 of 1 nodes see")
        else:
            assert "plasma" in file
            assert note.endswith("which 0 of 1 nodes see; the others were sent a copy")


def looked(pool: RayPool, count: int) -> list[tuple[str, int, Scored]]:
    """Node and pid of so many workers, all at work at once, and what they see of the data, of which they touch all."""
    for name in range(count):
        pool.submit(Act(f"look-{name}", "look_and_linger"), attempt=1)
    seen = collect(pool, lambda seen: sum(isinstance(m.event, Scored) for m in seen) == count)
    pids = {m.key: m.event.pid for m in seen if isinstance(m.event, Started)}
    return [(place_of(pool, m.key), pids[m.key], m.event) for m in seen if isinstance(m.event, Scored)]


def private_memory(pid: int) -> int:
    """Bytes that no other process shares (USS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
