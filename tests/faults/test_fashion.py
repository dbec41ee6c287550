"""Fashion-MNIST, its workers killed ten times while they train: the same weights, bit for bit."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from ensemble.config import make_config
from ensemble.data.fashion import read_fashion
from ensemble.errors import DataError
from ensemble.launch import train
from ensemble.runs.store import RunStore
from tests.faults.processes import at_work, digests, driver, try_kill
from tests.faults.tally import Tally

KILLS = 10
OPTIONS: dict[str, Any] = {
    "data": "fashion-mnist",
    "net": "mlp",
    "hidden": (128,),
    "members": 4,
    "epochs": 12,
    "batch_size": 128,
}


def begun(run: Path) -> set[int]:
    """Workers that have begun to train, by their pids."""
    return {event["pid"] for event in RunStore.open(run).events() if event["event"] == "started"}


@pytest.mark.chaos
@pytest.mark.fashion
@pytest.mark.ray
@pytest.mark.timeout(1200)
def test_ten_kills_change_no_bit_of_the_weights(tmp_path: Path, tally: Tally) -> None:
    try:
        read_fashion(None)
    except DataError as missing:
        pytest.skip(str(missing))
    chance = random.Random(3)
    train(make_config(OPTIONS | {"pool": "serial"}), run=tmp_path / "undisturbed")
    run, kills = tmp_path / "run", 0
    with driver(run, "--silence", "60", options=OPTIONS) as one:
        while kills < KILLS and at_work(one) and one.running:
            time.sleep(chance.uniform(0.0, 2.0))
            if victims := begun(run) & set(one.workers()):
                try_kill(chance.choice(sorted(victims)), signal.SIGKILL)
                kills += 1
        code, said = one.end(within=900)
    assert code == 0, said
    assert kills == KILLS, "the run is too short for these kills"
    same = digests(run) == digests(tmp_path / "undisturbed")
    tally.add("Fashion-MNIST, workers killed", schedules=1, faults=kills, lost=0 if same else 1)
    assert same
