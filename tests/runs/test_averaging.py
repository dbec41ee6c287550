"""Averages of parameters: of members plain and aligned, of snapshots, and the greedy soup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.data.dataset import Dataset
from ensemble.errors import EnsembleError, UsageError
from ensemble.members.plan import plan_members
from ensemble.runs.averaging import aligned, average_parameters
from ensemble.runs.coordinator import run_ensemble
from ensemble.runs.pool import SerialPool
from ensemble.runs.reporting import finished_members
from ensemble.runs.store import RunStore
from ensemble.training.events import Failed
from tests.nets.users import good
from tests.runs.pools import ScriptedPool
from tests.scenarios import blobs, config_for, images, line


def train(root: Path, data: Dataset | None = None, **options: Any) -> tuple[RunStore, dict[str, Any]]:
    data = data or blobs()
    config = config_for(data, **options)
    store = RunStore.create(root, data, config=config, functions={}, parameters=1, versions={})
    return store, run_ensemble(store, data, SerialPool(), lambda message: None, config.execution)


def test_snapshots_are_averaged_within_each_member(tmp_path: Path) -> None:
    store, report = train(tmp_path / "run", snapshots=3, schedule="linear", batch_norm="none", epochs=8)
    for index in (0, 1):
        record, average = store.member(index), store.averages.get(f"snapshots-00{index}")
        assert record is not None
        assert average is not None
        assert average.networks == ((index, 0), (index, 1), (index, 2))
        name = (
            "output.weight" if "output.weight" in store.weights(record) else next(iter(store.weights(record)))
        )
        mean = np.mean([store.weights(record, "snapshots", k)[name] for k in range(3)], axis=0)
        np.testing.assert_allclose(store.averages.weights(average)[name], mean, rtol=1e-5, atol=1e-7)
    parameters = report["combined"]["snapshots/parameters"]
    assert parameters["advised"] is True
    assert parameters["accuracy"] == pytest.approx(
        report["combined"]["snapshots/average"]["accuracy"], abs=0.05
    )


@pytest.mark.parametrize("net", ["mlp", "convnet", "lenet", "resnet"])
def test_matching_lowers_the_barrier(tmp_path: Path, net: str) -> None:
    """Of small networks far from the optimum, so not to zero; that the members stay as they were is checked too."""
    data = images(side=16)
    hidden = {"mlp": (32, 32), "convnet": (8, 16), "lenet": (6, 8, 16, 32), "resnet": (8, 16)}[net]
    store, report = train(tmp_path / "run", data, net=net, hidden=hidden, match=True, epochs=6)
    combined = report["combined"]
    assert combined["parameters"]["matched"] is True
    assert combined["parameters/unmatched"]["matched"] is False
    assert combined["parameters"]["barrier"] <= combined["parameters/unmatched"]["barrier"] + 0.02
    assert store.averages.get("averaged") != store.averages.get("unmatched")


def test_a_network_that_declares_no_permutations_is_refused_by_name() -> None:
    plan = plan_members(config_for(blobs(), net="tests.nets.users:good", hidden=None), blobs().spec)[0]
    with pytest.raises(UsageError, match=f"{type(good((4,), 3)).__name__} cannot be matched"):
        aligned([{}, {}], plan)


def test_a_greedy_soup_is_no_worse_than_its_best_ingredient(tmp_path: Path) -> None:
    store, report = train(tmp_path / "run", soup=True, members=4)
    soup = store.averages.get("greedy")
    assert soup is not None
    assert 1 <= len(soup.networks) <= 4
    assert soup.candidates == ((0, 0), (1, 0), (2, 0), (3, 0))
    assert report["combined"]["parameters/greedy"]["chosen"] == [member for member, _ in soup.networks]


def test_averages_that_stand_are_not_made_again(tmp_path: Path) -> None:
    data = blobs()
    store, _ = train(tmp_path / "run", data, soup=True, snapshots=2, schedule="cyclic")
    pool = ScriptedPool(lambda task, attempt, events: events)
    average_parameters(finished_members(store), store, pool, lambda message: None)
    assert pool.submitted == []


def test_a_failed_task_ends_the_run_with_its_evidence(tmp_path: Path) -> None:
    data = blobs()
    store, _ = train(tmp_path / "run", data)
    (store.root / "combined" / "averaged.json").unlink()
    pool = ScriptedPool(lambda task, attempt, events: iter([Failed(None, "died", "exit code 137")]))
    pool.share(data)
    with pytest.raises(EnsembleError, match=r"score/averaged failed \(died\): exit code 137"):
        average_parameters(finished_members(store), store, pool, lambda message: None)


def test_regression_is_averaged_too(tmp_path: Path) -> None:
    _, report = train(tmp_path / "run", line(), snapshots=2, schedule="cyclic", heads=2, epochs=20)
    assert {"parameters", "snapshots/parameters", "heads/average"} <= set(report["combined"])
    assert not any(name.endswith("vote") for name in report["combined"])
