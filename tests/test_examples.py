"""Every example runs as its first lines say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ensemble.cli.main import cli

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.ray
def test_the_python_interface(tmp_path: Path) -> None:
    script = EXAMPLES / "python_interface.py"
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:ensemble", script, tmp_path / "run"],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "accuracy on the test rows" in done.stdout
    assert "row 4: confidence" in done.stdout


def test_the_configuration(tmp_path: Path) -> None:
    options = [
        "--config",
        EXAMPLES / "digits.toml",
        "--pool",
        "serial",
        "--epochs",
        "2",
        "--run",
        tmp_path / "run",
    ]
    result = CliRunner().invoke(cli, ["train", *map(str, options)])
    assert result.exit_code == 0, result.output
    assert "out of bag" in result.stdout.lower()


def run_script(name: str, *arguments: str) -> str:
    script = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(script, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_lecture_table(tmp_path: Path) -> None:
    out = tmp_path / "lecture"
    said = run_script("lecture_table.py", "--quick", "--seeds", "1", "--pool", "serial", "--out", str(out))
    assert "members averaged" in said
    assert "snapshots' parameters averaged" in said
    assert {"lecture_table.json", "lecture_table.svg"} <= {path.name for path in out.iterdir()}


def test_weight_matching(tmp_path: Path) -> None:
    arguments = ("--data", "iris", "--epochs", "3", "--pool", "serial", "--out", str(tmp_path / "run"))
    said = run_script("weight_matching.py", *arguments)
    assert "without matching" in said
    assert "barrier" in said


def test_the_coordinators_scale(tmp_path: Path) -> None:
    arguments = ("--run", str(tmp_path / "run"), "--members", "12", "--repeat", "1")
    found = json.loads(run_script("benchmarks/coordinator_scale.py", *arguments))
    assert found["train"]["fsyncs_a_member"] > 5
    assert found["report"]["seconds"] > 0
