"""The run directory: what is committed is found again, what is damaged is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ensemble.data.dataset import Dataset
from ensemble.errors import RunError
from ensemble.members.plan import MemberPlan
from ensemble.runs.store import RunStore
from ensemble.training.events import Finished, Predictor, Progress
from tests.runs.test_checkpoints import state_at
from tests.scenarios import blobs, config_for, plans_for

PRINT = {"hardware": "a"}


def new_store(root: Path, data: Dataset) -> RunStore:
    return RunStore.create(
        root, data, config=config_for(data), functions={}, parameters=10, versions={"torch": "2"}
    )


@pytest.fixture
def data() -> Dataset:
    return blobs()


@pytest.fixture
def store(tmp_path: Path, data: Dataset) -> RunStore:
    return new_store(tmp_path / "run", data)


@pytest.fixture
def plan(data: Dataset) -> MemberPlan:
    return plans_for(data)[0]


def finish(store: RunStore, plan: MemberPlan) -> None:
    said = {part: np.ones((24, 3), np.float32) for part in ("valid", "test")}
    files = store.save_predictor(Predictor(0, "members", 0, {"w": np.arange(4.0)}, said))
    progress = Progress(0, 1, 1, 0.5, 0.9, 0.4, 0.01, 1.0, 0.0, 0.1, 60)
    store.commit_member(plan, Finished(0, (progress,), 0.1, 0.01), files, attempts=1, fingerprints=[PRINT])


def test_a_run_is_found_again(store: RunStore, data: Dataset) -> None:
    found = RunStore.open(store.root)
    assert found.record == store.record
    assert found.spec == data.spec
    np.testing.assert_array_equal(found.targets()["test_targets"], data.y[data.test])


def test_an_existing_directory_is_refused(store: RunStore, data: Dataset) -> None:
    with pytest.raises(RunError, match="exists already"):
        new_store(store.root, data)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run directory"):
        RunStore.open(tmp_path / "none")
    with pytest.raises(RunError, match=r"it has no config\.json"):
        RunStore.open(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "data.json", "targets.safetensors"])
def test_a_changed_file_is_refused(store: RunStore, name: str) -> None:
    content = bytearray((store.root / name).read_bytes())
    content[len(content) // 2] ^= 1
    (store.root / name).write_bytes(content)
    with pytest.raises(RunError, match=f"{name}.*damaged"):
        RunStore.open(store.root).targets()


def test_a_member_is_done_once_its_manifest_stands(store: RunStore, plan: MemberPlan) -> None:
    assert store.member(0) is None
    store.checkpoints(plan).save(state_at(3), [PRINT], {})
    store.fail_member(0, cause="died", evidence="gone", attempts=3)
    finish(store, plan)
    record = store.member(0)
    assert record is not None
    assert store.failure(0) is None
    assert not list(store.member_directory(0).glob("checkpoint-*"))
    np.testing.assert_array_equal(store.weights(record)["w"], np.arange(4.0))
    assert store.predictions(record)["test"].shape == (24, 3)
    assert store.history(record)[0]["metric"] == 0.9


def test_damaged_weights_are_refused(store: RunStore, plan: MemberPlan) -> None:
    finish(store, plan)
    path = store.member_directory(0) / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    record = store.member(0)
    assert record is not None
    with pytest.raises(RunError, match=r"weights\.safetensors.*damaged"):
        store.weights(record)


def test_fingerprints_that_differ_mark_the_member_mixed(store: RunStore, plan: MemberPlan) -> None:
    finished = Finished(0, (), 0.1, 0.01)
    record = store.commit_member(plan, finished, {}, attempts=2, fingerprints=[PRINT, {"hardware": "b"}])
    assert record.mixed
