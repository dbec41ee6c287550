"""A real Ray, real signals: whatever dies, the run ends with the bits of an undisturbed serial one."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from ensemble.runs.status import run_status
from ensemble.runs.store import RunStore
from tests.faults.processes import Driver, at_work, digests, driver, try_kill, wait_until
from tests.faults.tally import Tally

pytestmark = pytest.mark.ray

EXITS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
FAULTS = 200
"""Of the long run."""


def strike(one: Driver, chance: random.Random, fault: str) -> bool:
    """Do it to the run under way; False where there was nobody to do it to."""
    at_work(one)
    time.sleep(chance.uniform(0.0, 0.6))
    if fault in EXITS_BY_NAME:
        one.signal(EXITS_BY_NAME[fault])
        return True
    victims = one.family(b"/raylet\0") if fault == "raylet" else one.workers()
    if not victims or not one.running:
        return False
    try_kill(chance.choice(victims), signal.SIGSTOP if fault == "worker stopped" else signal.SIGKILL)
    return True


EXITS_BY_NAME = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}


def check_after(one: Driver, fault: str) -> None:
    """The exit code and the message of the contract; nobody left; status works; no lock."""
    code, said = one.end(within=90)
    if code == 0:
        return  # it had come to its end before
    expected = 5 if fault == "raylet" else EXITS[EXITS_BY_NAME[fault]]
    assert code == expected, said
    if code > 0:
        assert f"`ensemble resume {one.run}`" in said
    assert wait_until(lambda: not one.workers(), within=5), "a worker outlived the run"
    store = RunStore.open(one.run)
    assert run_status(store).state == "interrupted"
    assert store.holder() is None


def run_through(run: Path, faults: list[str], chance: random.Random) -> Counter[str]:
    """Train to the end under these faults, taking the run up as often as it takes; what was injected."""
    injected: Counter[str] = Counter()
    while True:
        with driver(run) as one:
            while faults and one.running:
                fault = faults[0]
                if strike(one, chance, fault):
                    injected[faults.pop(0)] += 1
                    if fault in ("raylet", *EXITS_BY_NAME):
                        check_after(one, fault)
            if one.running and not faults:
                code, said = one.end(within=240)
                assert code == 0, said
        if one.process.returncode == 0:
            return injected


@pytest.mark.timeout(240)
def test_a_disturbed_run_ends_as_the_undisturbed_one(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    faults = ["worker killed", "worker stopped", "SIGTERM", "worker killed"]
    injected = run_through(tmp_path / "run", faults, random.Random(0))
    assert sum(injected.values()) >= 3, "the run is too short for these faults"
    assert digests(tmp_path / "run") == undisturbed
    assert not list((tmp_path / "run").rglob("*.writing"))


@pytest.mark.chaos
@pytest.mark.timeout(7200)
def test_hundreds_of_faults_lose_nothing(tmp_path: Path, undisturbed: dict[str, str], tally: Tally) -> None:
    chance = random.Random(1)
    injected: Counter[str] = Counter()
    schedules = lost = 0
    while sum(injected.values()) < FAULTS:
        faults = chance.choices(
            ["worker killed", "worker stopped", "raylet", *EXITS_BY_NAME], [20, 1, 1, 1, 1, 1], k=40
        )
        run = tmp_path / f"run-{schedules}"
        injected += run_through(run, faults, chance)
        schedules += 1
        lost += digests(run) != undisturbed
    tally.add("real Ray, real signals", schedules=schedules, faults=sum(injected.values()), lost=lost)
    assert not lost
