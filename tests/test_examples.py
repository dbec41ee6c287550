"""Every example runs as its first lines say."""

from __future__ import annotations

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
