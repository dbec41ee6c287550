"""A node goes without a word: its member is resumed on another one, to the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ensemble.runs.store import RunStore
from tests.cluster.nodes import RunningCluster, running_cluster
from tests.faults.processes import Driver, digests, driver, wait_until
from tests.faults.tally import Tally

pytestmark = pytest.mark.ray

LOSSES = 12
"""Of the long run."""


def events(run: Path, what: str) -> list[dict[str, Any]]:
    return [event for event in RunStore.open(run).events() if event["event"] == what]


def both_at_work(one: Driver) -> bool:
    """Whether two members train now and have something to go on from, so that a lost node takes one of them with it."""
    ready = (one.run / "config.json").exists
    seen = len(events(one.run, "epoch")) if ready() else 0

    def further() -> bool:
        now = events(one.run, "epoch")[seen:] if ready() else []
        kept = {path.parent.name for path in one.run.glob("members/*/checkpoint-*.json")}
        return len({event["member"] for event in now}) == 2 == len(kept)

    return wait_until(lambda: not one.running or further(), within=60) and one.running


def wait_for_failure(one: Driver, *, known: int) -> None:
    wait_until(lambda: not one.running or len(events(one.run, "failed")) > known, within=60)


def run_through(run: Path, cluster: RunningCluster, *, losses: int) -> int:
    """Train to the end while the second node is lost and another one comes; how often one was lost."""
    lost, node = 0, cluster.add(num_cpus=1)
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(cluster.token)}
    with driver(run, "--address", cluster.address, "--silence", "60", environment=environment) as one:
        while lost < losses and both_at_work(one):
            known = len(events(run, "failed"))
            cluster.drop(node)
            lost += 1
            wait_for_failure(one, known=known)
            node = cluster.add(num_cpus=1)
        code, said = one.end(within=240)
    assert code == 0, said
    cluster.drop(node)
    return lost


@pytest.mark.chaos
@pytest.mark.timeout(240)
def test_a_member_of_a_lost_node_is_resumed_elsewhere(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    """From its last checkpoint, not from its beginning."""
    run = tmp_path / "run"
    with running_cluster() as cluster:
        assert run_through(run, cluster, losses=1) == 1
    assert digests(run) == undisturbed
    (failed,) = events(run, "failed")
    assert (failed["cause"], failed["decision"]) == ("node_lost", "retry")
    again = events(run, "started")
    (resumed,) = [event for event in again if (event["member"], event["attempt"]) == (failed["member"], 2)]
    assert resumed["resumed_epoch"] > 0


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_nodes_that_come_and_go_lose_nothing(
    tmp_path: Path, undisturbed: dict[str, str], tally: Tally
) -> None:
    losses = runs = lost = 0
    with running_cluster() as cluster:
        while losses < LOSSES:
            run = tmp_path / f"run-{runs}"
            losses += run_through(run, cluster, losses=LOSSES - losses)
            runs += 1
            lost += digests(run) != undisturbed
    tally.add("real Ray, nodes lost", schedules=runs, faults=losses, lost=lost)
    assert not lost
