"""The benchmark is fair and says what it measured: same networks, same rows, honest tables, nothing left running."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ensemble.config import DataConfig, make_config
from ensemble.data.load import load_dataset
from ensemble.nets.build import build_net
from ensemble.nets.dropout import Dropout
from ensemble.training.rows import DeviceRows
from examples.benchmarks import networks, processes, rows, stacking
from examples.benchmarks.cases import FULL, QUICK, Case
from examples.benchmarks.contenders import CONTENDERS, Contender
from examples.benchmarks.drawing import draw
from examples.benchmarks.outcome import Outcome, accuracies
from examples.benchmarks.report import Series, Spread, best_peer, spread, table

ROOT = Path(__file__).parents[1]
SMALL = QUICK[0]
SHAPES = {"digits": (64,), "fashion-mnist": (1, 28, 28)}


@pytest.mark.parametrize("case", FULL, ids=lambda case: case.name)
def test_our_network_is_that_of_the_others(case: Case) -> None:
    given = dict(zip(case.options[::2], case.options[1::2], strict=True))
    config = make_config({option.removeprefix("--"): value for option, value in given.items()}).net
    shape = SHAPES[case.source]
    ours = build_net(config, shape=shape, outputs=rows.CLASSES, seed=0).eval()
    theirs = getattr(networks, case.network)(shape, rows.CLASSES).eval()
    weights = dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True))
    theirs.load_state_dict(weights)
    x = torch.randn(3, *shape)
    torch.testing.assert_close(ours(x), theirs(x))
    dropped = [module.p for module in ours.modules() if isinstance(module, Dropout)]
    assert dropped == [module.p for module in theirs.modules() if isinstance(module, nn.Dropout)]


@pytest.mark.parametrize("images", [False, True])
def test_our_rows_are_those_of_the_others(tmp_path: Path, images: bool) -> None:
    """Also the scaling: ours takes it from the training rows as `rows.read` does."""
    path = tmp_path / "rows.npz"
    if images:
        x = np.random.default_rng(0).integers(0, 256, (50, 1, 28, 28), dtype=np.uint8)
        y = np.arange(50) % 10
        np.savez(path, x=x[:40], y=y[:40], x_test=x[40:], y_test=y[40:])
    else:
        rows.write(SMALL, path)
    theirs = rows.read(path)
    ours = load_dataset(DataConfig(data=str(path), valid=0), seed=0)
    assert ours.spec.shape == theirs.shape
    inputs = DeviceRows(ours.x, ours.spec, torch.device("cpu"))
    for part, x, y in ((ours.train, theirs.x, theirs.y), (ours.test, theirs.x_test, theirs.y_test)):
        np.testing.assert_allclose(inputs.batch(part).numpy(), x, atol=1e-5)
        np.testing.assert_array_equal(ours.y[part], y)


def test_accuracy_of_members_and_of_their_average() -> None:
    said = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.2, 0.8], [0.3, 0.7]]])
    assert accuracies(said, np.array([0, 1])) == {"member_accuracy": 0.75, "ensemble_accuracy": 1.0}


def test_members_that_were_seeded_alike_are_no_ensemble() -> None:
    """Seen to pass silently without the check."""
    one = np.array([[0.9, 0.1], [0.4, 0.6]])
    with pytest.raises(ValueError, match="of 2 members only 1 differ"):
        accuracies(np.stack([one, one]), np.array([0, 1]))


def test_logits_are_no_probabilities() -> None:
    """Seen to pass silently without the check."""
    with pytest.raises(ValueError, match="no probabilities"):
        accuracies(np.array([[[2.0, -1.0]]]), np.array([0]))


def series(role: str, *seconds: float) -> Series:
    return Series(role, [{"training_seconds": s, "whole_seconds": s + 2} for s in seconds])  # type: ignore[arg-type]


FOUND = {
    "bound": series("bound", 10.0, 12.0, 11.0),
    "ours": series("ours", 13.2, 13.2, 13.2),
    "torchensemble": series("peer", 22.0),
    "tune": series("peer", 44.0),
    "bagging": Series("peer", skipped="not installed: skorch"),
    "bagging-jobs": Series("peer", failed="exit code 1: no luck"),
}


def test_figures_are_medians_and_ratios() -> None:
    assert spread(FOUND["bound"], "training_seconds") == Spread(11.0, 10.0, 12.0)
    assert spread(FOUND["bound"], "private_mb") is None
    assert best_peer(FOUND, "training_seconds") == 22.0
    lines = table(FULL[0], FOUND).splitlines()
    assert lines[2].split()[:7] == ["bound", "3", "11.00", "[10.00–12.00]", "1.00", "0.50", "13.00"]
    assert lines[3].split()[:5] == ["ours", "3", "13.20", "1.20", "0.60"]


def test_who_did_not_take_part_is_said() -> None:
    said = table(FULL[0], FOUND)
    assert "bagging: left out, not installed: skorch" in said
    assert "bagging-jobs: FAILED, exit code 1: no luck" in said


def test_a_missing_package_is_noticed() -> None:
    assert Contender("peer", "", needs=("no_such_package", "torch")).missing() == ["no_such_package"]


def test_the_figure_is_drawn_where_values_are_missing(tmp_path: Path) -> None:
    draw([(FULL[0], FOUND), (FULL[5], {"loop": series("bound", 1.0)})], tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 1000


def test_outcomes_survive_the_file(tmp_path: Path) -> None:
    outcome = Outcome(1.0, 2.5, {"member_accuracy": 0.5})
    outcome.write(tmp_path / "outcome.json")
    assert Outcome.read(tmp_path / "outcome.json") == outcome


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from /proc"
)
SLEEP = "import subprocess as s; print(s.Popen(['sleep', '60'], start_new_session=True).pid, flush=True)"


@needs_proc
def test_private_memory_is_that_of_all_processes() -> None:
    hold = "import time; held = bytearray(b'x') * 60_000_000; time.sleep(1)"
    script = f"import subprocess as s, sys; s.run([sys.executable, '-c', {hold!r}])"
    ran = processes.run([sys.executable, "-c", script], directory=ROOT, timeout=60)
    assert ran.code == 0
    assert ran.private_mb is not None
    assert 60 < ran.private_mb < 120
    assert ran.left_behind == 0


@needs_proc
def test_what_is_left_behind_is_told_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a session of its own, as Ray's daemons are. Seen to stay without `_end`."""
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    ran = processes.run([sys.executable, "-c", SLEEP], directory=ROOT, timeout=60)
    assert (ran.code, ran.left_behind) == (0, 1)
    assert not runs(int(ran.output))


@needs_proc
def test_what_takes_too_long_is_stopped() -> None:
    script = f"{SLEEP}; s.run(['sleep', '60'])"
    ran = processes.run([sys.executable, "-c", script], directory=ROOT, timeout=5)
    assert ran.code is None
    assert not runs(int(ran.output))
    assert ran.seconds < 30


def runs(process: int) -> bool:
    """Whether it is there, and not a zombie, which has no command line."""
    path = Path(f"/proc/{process}/cmdline")
    return path.exists() and bool(path.read_bytes())


@pytest.mark.chaos
@pytest.mark.ray
def test_the_harness(tmp_path: Path) -> None:
    options = [
        "--quick",
        "--cases",
        "small",
        "--contenders",
        "bound,ours",
        "--repeat",
        "1",
        "--out",
        str(tmp_path),
    ]
    command = [sys.executable, "-m", "examples.benchmarks", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "benchmarks.svg").exists()
    found = json.loads((tmp_path / "results.json").read_text())["cases"]["small"]["contenders"]
    for name in ("bound", "ours"):
        (measures,) = found[name]["rounds"]
        assert 0 < measures["training_seconds"] < measures["whole_seconds"], name
        assert measures["member_accuracy"] > 0.5, name
        assert measures["ensemble_accuracy"] >= measures["member_accuracy"] - 0.02, name


@pytest.mark.parametrize("name", [name for name, one in CONTENDERS.items() if one.needs])
def test_a_peer_does_the_work(tmp_path: Path, name: str) -> None:
    contender = CONTENDERS[name]
    if missing := contender.missing():
        pytest.skip(f"a peer that is not installed: {', '.join(missing)}; the extra bench has it")
    rows.write(SMALL, tmp_path / "rows.npz")
    command = contender.command(SMALL, tmp_path / "rows.npz", tmp_path / "outcome.json", jobs=2)
    ran = processes.run(command, directory=ROOT, timeout=170)
    assert ran.code == 0, ran.output
    assert contender.outcome(tmp_path / "outcome.json").measures["member_accuracy"] > 0.5


def test_unknown_names_are_refused() -> None:
    command = [sys.executable, "-m", "examples.benchmarks", "--cases", "mlp,nosuch"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "unknown case 'nosuch'" in done.stderr


def test_stacks_and_members_alone_are_timed(tmp_path: Path) -> None:
    points = list(stacking.sweep([(64, 16, 32)], (1, 3)))
    assert all(point.milliseconds > 0 for point in points)
    alone, stacked = stacking.by_network(points)[64, 16, 32].values()
    assert f"{stacked / alone:.2f}" in stacking.table(points)
    stacking.draw(points, tmp_path / "stacking.svg")
    assert (tmp_path / "stacking.svg").exists()


def test_a_slow_moment_of_the_machine_hits_no_stack_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds go through all stacks, medians are told, and what takes too long is left out from then on."""
    asked: list[int] = []
    slow = stacking.SECONDS * 1000

    def measure(inputs: int, hidden: int, batch: int, *, stack: int) -> float:
        asked.append(stack)
        return {1: len(asked), 2: 0.5, 4: slow}[stack]

    monkeypatch.setattr(stacking, "measure", measure)
    points = list(stacking.sweep([(64, 16, 32)], (1, 2, 4, 8)))
    assert asked == [1, 2, 4] * stacking.ROUNDS
    assert [(point.stack, point.milliseconds) for point in points] == [(1, 4), (2, 0.5), (4, slow)]


def test_a_member_that_diverges_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="2 members told of 0 epochs, not of 8"):
        stacking.epoch_seconds(iter(()), 2)
