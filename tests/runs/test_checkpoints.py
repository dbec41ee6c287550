"""Checkpoints: the last two are kept, and only one that verifies is gone on from."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ensemble.runs import atomic
from ensemble.runs.checkpoints import Checkpoints
from ensemble.runs.store import RunStore
from ensemble.training.events import Predictor, TrainState
from tests.runs.simulation import PLANS, make_store

PRINT = {"hardware": "a"}


def state_at(step: int) -> TrainState:
    return TrainState(1, step, {"net.w": np.full(3, float(step))}, {"loss_sum": 0.1 * step})


def snapshot_of(member: int) -> Predictor:
    said = {"test": np.ones((2, 3), np.float32)}
    return Predictor(member, "snapshots", 0, {"w": np.arange(4.0)}, said)


def begun_store(root: Path) -> RunStore:
    store = make_store(root)
    for plan in PLANS:
        store.begin_member(plan)
    return store


@pytest.fixture
def evidence() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def kept(tmp_path: Path, evidence: list[tuple[str, str]]) -> Checkpoints:
    return checkpoints(tmp_path, evidence)


def checkpoints(
    directory: Path, evidence: list[tuple[str, str]], *, plan_sha256: str = "0" * 64
) -> Checkpoints:
    return Checkpoints(
        directory,
        plan_sha256=plan_sha256,
        files_in=directory,
        damaged=lambda file, why: evidence.append((file, why)),
    )


def save(kept: Checkpoints, *steps: int) -> None:
    for step in steps:
        kept.save(state_at(step), [PRINT], {})


def step_of(kept: Checkpoints) -> int | None:
    found = kept.last()
    return None if found is None else found.state.step


def test_the_last_two_are_kept(kept: Checkpoints, tmp_path: Path) -> None:
    """With every fingerprint. Seen to fail when only the last is saved: a second resume hid that the first was on other
    hardware."""
    save(kept, 5, 10)
    kept.save(state_at(15), [{"hardware": "b"}, PRINT], {})
    assert len(list(tmp_path.iterdir())) == 4
    found = kept.last()
    assert found is not None
    assert (found.state.step, found.fingerprints) == (15, ({"hardware": "b"}, PRINT))
    np.testing.assert_array_equal(found.state.arrays["net.w"], [15.0, 15.0, 15.0])
    kept.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [".safetensors", ".json"])
def test_a_damaged_one_is_set_aside_for_the_one_before(
    kept: Checkpoints, tmp_path: Path, evidence: list[tuple[str, str]], ending: str
) -> None:
    save(kept, 5, 10)
    path = tmp_path / f"checkpoint-000000010{ending}"
    path.write_bytes(path.read_bytes()[:-3])
    assert step_of(kept) == 5
    assert path.with_name(path.name + ".damaged").exists()
    ((file, why),) = evidence
    assert file == "checkpoint-000000010.json"
    assert path.name in why


def test_one_that_was_set_aside_is_not_gone_on_from(kept: Checkpoints, tmp_path: Path) -> None:
    save(kept, 5, 10)
    kept.set_aside()
    assert kept.last() is None
    assert len(list(tmp_path.glob("*.damaged"))) == 4


def test_arrays_without_their_manifest_are_no_checkpoint(kept: Checkpoints, tmp_path: Path) -> None:
    save(kept, 5)
    (tmp_path / "checkpoint-000000005.json").unlink()
    assert kept.last() is None


def test_one_of_another_plan_is_not_gone_on_from(
    kept: Checkpoints, tmp_path: Path, evidence: list[tuple[str, str]]
) -> None:
    """Seen to fail without the comparison of ``plan_sha256``."""
    save(kept, 5)
    assert checkpoints(tmp_path, evidence, plan_sha256="1" * 64).last() is None
    assert "another plan" in evidence[0][1]


def test_it_knows_the_snapshots_sent_before_it(tmp_path: Path) -> None:
    """Seen to fail without ``files`` in the manifest, and when they are not verified: a resumed member would be
    committed without its first snapshots."""
    store = make_store(tmp_path / "run")
    kept = store.checkpoints(PLANS[0])
    files = store.save_predictor(snapshot_of(0))
    kept.save(state_at(5), [PRINT], files)
    found = kept.last()
    assert found is not None
    assert found.files == files
    (store.member_directory(0) / "snapshots" / "00.safetensors").write_bytes(b"")
    assert kept.last() is None
    assert [event["event"] for event in store.events()] == ["checkpoint_damaged"]


def test_a_stack_has_one_for_all_its_members(tmp_path: Path) -> None:
    store = begun_store(tmp_path / "run")
    stack = store.checkpoints(*PLANS[1:])
    files = {f"001/{name}": digest for name, digest in store.save_predictor(snapshot_of(1)).items()}
    stack.save(state_at(5), [PRINT], files)
    assert (store.root / "stacks" / "001-002" / "checkpoint-000000005.json").exists()
    found = RunStore.open(store.root).checkpoints(*PLANS[1:]).last()
    assert found is not None
    assert found.files == files
    assert [store.checkpoints(plan).last() for plan in PLANS] == [None] * 3
    (store.member_directory(1) / "snapshots" / "00.safetensors").write_bytes(b"")
    assert stack.last() is None
    assert [event["member"] for event in store.events()] == [1, 2]


def test_a_checkpoint_of_a_stack_comes_after_all_that_it_stands_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plans lie in other directories than it. Seen to fail without ``plans`` among the names of its manifest."""
    store = begun_store(tmp_path / "run")
    files = {f"001/{name}": digest for name, digest in store.save_predictor(snapshot_of(1)).items()}
    (store.root / "stacks" / "001-002").mkdir(parents=True)
    synced: list[str] = []
    monkeypatch.setattr(
        atomic, "sync_directory", lambda path: synced.append(os.path.relpath(path, store.root))
    )
    store.checkpoints(*PLANS[1:]).save(state_at(5), [PRINT], files)
    before, after = synced[:-1], synced[-1]
    assert sorted(before) == ["members/001", "members/001/snapshots", "members/002", "stacks/001-002"]
    assert after == "stacks/001-002"


def test_a_stack_of_other_members_does_not_go_on_from_it(tmp_path: Path) -> None:
    store = begun_store(tmp_path / "run")
    store.checkpoints(*PLANS).save(state_at(5), [PRINT], {})
    assert store.checkpoints(PLANS[0], PLANS[2]).last() is None
