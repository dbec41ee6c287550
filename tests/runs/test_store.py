"""The run directory: what is committed is found again, what is damaged is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ensemble.data.dataset import Dataset
from ensemble.errors import RunError
from ensemble.members.plan import MemberPlan
from ensemble.runs.store import RunStore
from ensemble.training.events import Checkpoint, Failed, Finished, Predictor, Progress, TrainState
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


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(0, TrainState(1, step, {"net.w": np.full(3, float(step))}, {"loss_sum": 0.1 * step}))


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
    store.save_checkpoint(plan, checkpoint(3), [PRINT], {})
    store.fail_member(0, Failed(0, "died", "gone"), attempts=3)
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


def test_the_last_two_checkpoints_are_kept(store: RunStore, plan: MemberPlan) -> None:
    for step in (5, 10, 15):
        store.save_checkpoint(plan, checkpoint(step), [PRINT], {})
    assert len(list(store.member_directory(0).glob("checkpoint-*"))) == 4
    found = store.last_checkpoint(plan)
    assert found is not None
    assert (found.state.step, found.fingerprints) == (15, (PRINT,))
    np.testing.assert_array_equal(found.state.arrays["net.w"], [15.0, 15.0, 15.0])


@pytest.mark.parametrize("ending", [".safetensors", ".json"])
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(
    store: RunStore, plan: MemberPlan, ending: str
) -> None:
    for step in (5, 10):
        store.save_checkpoint(plan, checkpoint(step), [PRINT], {})
    path = store.member_directory(0) / f"checkpoint-000000010{ending}"
    path.write_bytes(path.read_bytes()[:-3])
    found = store.last_checkpoint(plan)
    assert found is not None
    assert found.state.step == 5
    assert path.with_name(path.name + ".damaged").exists()
    assert [e["event"] for e in store.events()] == ["checkpoint_damaged"]


def test_a_checkpoint_knows_the_snapshots_sent_before_it(store: RunStore, plan: MemberPlan) -> None:
    """Fails without ``files`` in the manifest: a resumed member would be committed without its first snapshots."""
    snapshot = Predictor(0, "snapshots", 0, {"w": np.arange(4.0)}, {"test": np.ones((2, 3), np.float32)})
    files = store.save_predictor(snapshot)
    store.save_checkpoint(plan, checkpoint(5), [PRINT], files)
    found = store.last_checkpoint(plan)
    assert found is not None
    assert found.files == files
    (store.member_directory(0) / "snapshots" / "00.safetensors").write_bytes(b"")
    assert store.last_checkpoint(plan) is None


def test_arrays_without_their_manifest_are_no_checkpoint(store: RunStore, plan: MemberPlan) -> None:
    store.save_checkpoint(plan, checkpoint(5), [PRINT], {})
    (store.member_directory(0) / "checkpoint-000000005.json").unlink()
    assert store.last_checkpoint(plan) is None


def test_a_checkpoint_of_another_plan_is_not_used(store: RunStore, data: Dataset, plan: MemberPlan) -> None:
    store.save_checkpoint(plan, checkpoint(5), [PRINT], {})
    other = plans_for(data, lr=0.5)[0]
    assert store.last_checkpoint(other) is None


def test_fingerprints_that_differ_mark_the_member_mixed(store: RunStore, plan: MemberPlan) -> None:
    finished = Finished(0, (), 0.1, 0.01)
    record = store.commit_member(plan, finished, {}, attempts=2, fingerprints=[PRINT, {"hardware": "b"}])
    assert record.mixed


def test_a_line_of_the_diary_that_was_cut_short_is_passed_over(store: RunStore) -> None:
    store.log("one", member=1)
    with (store.root / "events.jsonl").open("a") as diary:
        diary.write('{"event": "tw')
    assert [event["event"] for event in store.events()] == ["one"]
