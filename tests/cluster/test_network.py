"""A cluster whose nodes share no path; one is cut off in the middle of a run."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.networks import missing, network
from tests.faults.processes import digests, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(600)]

TRAIN = [sys.executable, "-m", "ensemble.cli.main", "train", "--data=digits", "--members=4", "--epochs=120"]


def started(run: Path) -> list[dict[str, object]]:
    """What the diary says of members that began."""
    diary = run / "events.jsonl"
    lines = diary.read_text().splitlines() if diary.exists() else []
    events = [json.loads(line) for line in lines if line.endswith("}")]
    return [event for event in events if event["event"] == "started"]


def test_a_node_is_cut_off_in_the_middle(tmp_path: Path) -> None:
    """Head and two workers; the members of the one whose cable is pulled go elsewhere, and the bits stay the same."""
    if reason := missing():
        pytest.skip(reason)
    token = tmp_path / "token"
    token.write_text("0123456789abcdef" * 4)
    with network() as net:
        head, left, right = (net.machine(name) for name in ("head", "left", "right"))
        train = shlex.join(
            [*TRAIN, f"--run={tmp_path / 'run'}", f"--address={head}:6379", "--checkpoint-every=0.5"]
        )
        ready = tmp_path / "ready"
        driver = net.run(
            "head",
            f"{net.ray(head)} && until [ -e {ready} ]; do sleep 0.2; done && exec {train}",
            token=token,
        )
        nodes = [
            net.run(name, f"sleep 8; {net.ray(address, head=head)}; echo $?", token=token)
            for name, address in (("left", left), ("right", right))
        ]
        for node in nodes:
            said, complaints = node.communicate(timeout=120)
            assert said.strip() == "0", complaints
        ready.touch()
        hosts = lambda: {event["host"] for event in started(tmp_path / "run")}  # noqa: E731
        assert wait_until(lambda: driver.poll() is not None or len(hosts()) == 3, within=120)
        assert hosts() == {"head", "left", "right"}, driver.communicate()[1]
        net.cut("right")
        before = len(started(tmp_path / "run"))
        said, complaints = driver.communicate(timeout=300)
        assert driver.returncode == 0, complaints
    again = started(tmp_path / "run")[before:]
    assert any(event["attempt"] > 1 and event["host"] != "right" for event in again), again
    alone = [*TRAIN, f"--run={tmp_path / 'alone'}", "--pool=serial", "--quiet"]
    subprocess.run(alone, check=True, capture_output=True, timeout=300)
    assert digests(tmp_path / "run") == digests(tmp_path / "alone")
