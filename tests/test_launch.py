"""Whole runs by the Python interface, in this process: train, resume, grow, and what each refuses."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.config import make_config
from ensemble.errors import DataError, RunError, UsageError
from ensemble.launch import grow, resume, train
from ensemble.runs.pool import Message, SerialPool
from ensemble.runs.prediction import load_networks
from ensemble.runs.store import RunStore
from ensemble.training.events import Checkpoint

QUICK: dict[str, Any] = {
    "pool": "serial",
    "data": "iris",
    "members": 2,
    "epochs": 8,
    "hidden": (8,),
    "batch_size": 16,
}


def quick(**options: Any) -> Any:
    return make_config(QUICK | options)


def digests(run: Path) -> list[str]:
    names = ("weights.safetensors", "predictions.safetensors")
    paths = sorted(path for name in names for path in run.glob(f"members/*/{name}"))
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


class StopError(Exception):
    """The coordinator's process dies here."""


def interrupt(monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Let the run die right after its ``after``-th checkpoint has arrived."""
    real, seen = SerialPool.poll, [0]

    def poll(self: SerialPool, timeout: float) -> list[Message]:
        if seen[0] == after:
            raise StopError
        messages = real(self, timeout)
        seen[0] += sum(isinstance(message.event, Checkpoint) for message in messages)
        return messages

    monkeypatch.setattr(SerialPool, "poll", poll)


def test_train_says_what_it_decided(tmp_path: Path) -> None:
    said: list[str] = []
    report = train(quick(), run=tmp_path / "run", say=said.append)
    assert said[0].startswith("task: classification (3 classes")
    assert "2 × mlp" in said[-2]
    assert said[-1].startswith("members are trained one by one: ")
    assert report["data"]["rows"] == {"train": 108, "valid": 12, "test": 30}
    assert (tmp_path / "run" / "report.json").exists()


@pytest.mark.parametrize("after", [1, 10, 30])
def test_an_interrupted_run_ends_as_if_undisturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    options: dict[str, Any] = {
        "dropout": 0.2,
        "schedule": "cyclic",
        "snapshots": 3,
        "epochs": 3,
        "checkpoint_every": 1e-9,
    }
    train(quick(**options), run=tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt(patch, after=after)
        with pytest.raises(StopError):
            train(quick(**options), run=tmp_path / "cut")
    assert RunStore.open(tmp_path / "cut").holder() is None
    report = resume(tmp_path / "cut")
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")
    assert report["combined"] == RunStore.open(tmp_path / "whole").report()["combined"]
    record = RunStore.open(tmp_path / "cut").member(0)
    assert record is not None
    assert len([name for name in record.files if name.startswith("snapshots/")]) == 6


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    first = train(quick(), run=tmp_path / "run")

    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()}

    before = written()
    assert resume(tmp_path / "run") == first
    assert written() == before


def test_growing_leaves_the_others_bit_for_bit(tmp_path: Path) -> None:
    train(quick(resample="bootstrap"), run=tmp_path / "run")
    before = digests(tmp_path / "run")
    report = grow(tmp_path / "run", add=1)
    train(quick(resample="bootstrap", members=3), run=tmp_path / "at-once")
    assert len(report["members"]) == 3
    assert set(before) < set(digests(tmp_path / "run"))
    assert digests(tmp_path / "run") == digests(tmp_path / "at-once")
    assert report["oob"]["coverage"] > 0.6


def test_growing_disjoint_parts_is_refused(tmp_path: Path) -> None:
    train(quick(resample="disjoint"), run=tmp_path / "run")
    with pytest.raises(UsageError, match="grow does not go with resample disjoint"):
        grow(tmp_path / "run", add=1)


def test_changed_data_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)), np.arange(60) % 2
    np.savez(tmp_path / "d.npz", x=x, y=y)
    options = {"data": str(tmp_path / "d.npz"), "checkpoint_every": 1e-9}
    with monkeypatch.context() as patch:
        interrupt(patch, after=2)
        with pytest.raises(StopError):
            train(quick(**options), run=tmp_path / "run")
    np.savez(tmp_path / "d.npz", x=x + 1, y=y)
    with pytest.raises(RunError, match="have changed since this run was made"):
        resume(tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"data": "irish"}, DataError, "iris"),
        ({"data": "nowhere.csv", "target": "y"}, DataError, r"nowhere\.csv"),
        ({"net": "convnet"}, UsageError, "convnet"),
        ({"loss": "gaussian"}, UsageError, "loss gaussian is for regression"),
        ({"data": "diabetes", "combine": "vote"}, UsageError, "no meaning for regression"),
        ({"resample": "disjoint", "members": 200}, UsageError, "200 members cannot share 108 training rows"),
        ({"schedule": "cyclic", "snapshots": 50}, UsageError, "a cycle needs at least two steps"),
        ({"net": "tests.test_launch:quick", "hidden": None}, UsageError, "tests.test_launch:quick"),
        ({"net": "no_such_module:net", "hidden": None}, UsageError, "cannot import 'no_such_module'"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(quick(**options), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_existing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="exists already"):
        train(quick(), run=tmp_path)


def test_a_users_network_has_to_be_named_again(tmp_path: Path) -> None:
    net = "tests.nets.users:good"
    train(quick(net=net, hidden=None), run=tmp_path / "run")
    with pytest.raises(UsageError, match=f"give the same option again, --net {net}"):
        resume(tmp_path / "run")
    assert resume(tmp_path / "run", options={"net": net})["task"] == "classification"


def test_predictions_equal_the_reports(tmp_path: Path) -> None:
    """Networks loaded from disk say of the run's rows what the workers said when they were trained."""
    report = train(quick(data="digits", epochs=2), run=tmp_path / "run")
    store = RunStore.open(tmp_path / "run")
    from ensemble.data.load import load_dataset

    data = load_dataset(store.record.config.data, seed=0)
    for combiner in ("average", "vote", "greedy"):
        tables = list(load_networks(store, combiner).predict(data.x[data.test]))
        predicted = np.concatenate([table.predicted for table in tables])
        accuracy = (predicted == data.y[data.test]).mean()
        assert accuracy == pytest.approx(report["combined"][combiner]["accuracy"], abs=1e-9)


def test_ill_advised_averages_need_force(tmp_path: Path) -> None:
    report = train(quick(data="digits", epochs=4, hidden=(32, 32)), run=tmp_path / "run")
    assert report["combined"]["parameters"]["advised"] is False
    store = RunStore.open(tmp_path / "run")
    with pytest.raises(UsageError, match="not advised"):
        load_networks(store, "parameters")
    assert len(load_networks(store, "parameters", force=True).nets) == 1


def test_dropout_passes_are_predictors_of_their_own(tmp_path: Path) -> None:
    train(quick(dropout=0.3), run=tmp_path / "run")
    store = RunStore.open(tmp_path / "run")
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    (plain,) = load_networks(store, "average").predict(x)
    (first,) = load_networks(store, "average", dropout_samples=10).predict(x)
    (again,) = load_networks(store, "average", dropout_samples=10).predict(x)
    assert np.mean(first.epistemic) > np.mean(plain.epistemic)
    np.testing.assert_array_equal(first.probabilities, again.probabilities)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": 0.0}, "net mlp has no dropout; give it one with --dropout"),
        ({"net": "tests.nets.users:functional", "hidden": None}, "drops by a function"),
    ],
)
def test_dropout_passes_without_dropout_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(quick(dropout_samples=5, **options), run=tmp_path / "run")


def scalar_loss(outputs: Any, targets: Any) -> Any:
    return ((outputs - targets) ** 2).mean()


def loss_that_raises(outputs: Any, targets: Any) -> Any:
    raise ValueError("no such thing")


def loss_of_nothing(outputs: Any, targets: Any) -> Any:
    return outputs.detach().sum()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "tests.test_launch:loss_that_raises"}, "raised ValueError: no such thing"),
        ({"loss": "tests.test_launch:loss_of_nothing"}, "does not depend on the outputs"),
        ({"net": "tests.nets.users:good", "hidden": None, "match": True}, "cannot be matched"),
        ({"valid": 0.01, "soup": True}, "soup selects on validation rows, but there are 1"),
    ],
)
def test_what_would_fail_after_training_is_refused_before(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(quick(**options), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_users_loss_of_a_regression_gets_vectors(tmp_path: Path) -> None:
    """With outputs of (rows, 1) it would be the mean over rows × rows, and nothing would be learned."""
    options = {"data": "diabetes", "epochs": 30, "hidden": (32,)}
    own = train(quick(loss="tests.test_launch:scalar_loss", **options), run=tmp_path / "own")
    built_in = train(quick(loss="mse", **options), run=tmp_path / "built-in")
    assert own["single"]["rmse"]["mean"] == pytest.approx(built_in["single"]["rmse"]["mean"], rel=1e-3)


def test_a_large_offset_does_not_drown_a_regression(tmp_path: Path) -> None:
    """In float32, predictions near 1e9 come in steps of 64."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    y = x @ np.array([1.0, -2.0, 0.5])
    options = {"epochs": 20, "task": "regression"}
    rmse = []
    for offset in (0.0, 1e9):
        np.savez(tmp_path / f"{offset:g}.npz", x=x, y=y + offset)
        report = train(
            quick(data=str(tmp_path / f"{offset:g}.npz"), **options), run=tmp_path / f"run-{offset:.0f}"
        )
        rmse.append(report["combined"]["average"]["rmse"])
    assert rmse[1] == pytest.approx(rmse[0], rel=0.02)


@pytest.mark.parametrize("options", [{"swa": 0.5}, {"resample": "bootstrap", "heads": 8}, {"snapshots": 2}])
def test_new_rows_are_judged_whatever_the_run_holds(tmp_path: Path, options: dict[str, Any]) -> None:
    from ensemble.data.load import load_rows
    from ensemble.runs.evaluation import evaluate_rows

    own = train(quick(**options), run=tmp_path / "run")
    store = RunStore.open(tmp_path / "run")
    rows = load_rows("iris", store.spec, labelled=True)
    report = evaluate_rows(store, rows, source="iris")
    assert set(report["combined"]) == set(own["combined"])


def test_a_network_of_ones_own_may_call_view(tmp_path: Path) -> None:
    """Channels-last rows, which our own networks get, would break it."""
    report = train(
        quick(data="digits", net="tests.nets.users:viewing", hidden=None, epochs=1), run=tmp_path / "run"
    )
    assert [member["status"] for member in report["members"]] == ["done", "done"]


def test_a_resume_keeps_the_runs_own_least_number_of_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails where the options are checked against the default number of members, which is less than six."""
    options: dict[str, Any] = {"members": 6, "min_members": 6, "epochs": 1, "checkpoint_every": 1e-9}
    with monkeypatch.context() as patch:
        interrupt(patch, after=2)
        with pytest.raises(StopError):
            train(quick(**options), run=tmp_path / "run")
    assert len(resume(tmp_path / "run", options={"retries": 1})["members"]) == 6


def test_small_networks_predict_as_one_and_say_the_same(tmp_path: Path) -> None:
    """Folded to matrices they agree with each passed by itself to rounding, uncertainty included."""
    train(quick(members=4, stack=2), run=tmp_path / "run")
    networks = load_networks(RunStore.open(tmp_path / "run"), "average")
    assert networks.folded
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    (as_one,), (one_by_one,) = networks.predict(x), replace(networks, folded=()).predict(x)
    np.testing.assert_allclose(as_one.probabilities, one_by_one.probabilities, atol=1e-5)
    np.testing.assert_allclose(as_one.epistemic, one_by_one.epistemic, atol=1e-5)
