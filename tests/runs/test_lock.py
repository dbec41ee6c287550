"""One coordinator a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ensemble.errors import RunError
from ensemble.runs.lock import hold, holder

HOLD = "import sys, time; from pathlib import Path; from ensemble.runs.lock import hold\n"
HOLD += "with hold(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)"


def test_the_second_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with hold(tmp_path / "lock"):
        assert f"process {os.getpid()}" in (holder(tmp_path / "lock") or "")
        with pytest.raises(RunError, match=f"is held by process {os.getpid()}"), hold(tmp_path / "lock"):
            pass
    assert holder(tmp_path / "lock") is None
    with hold(tmp_path / "lock"):
        pass


def test_death_frees_it(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match=f"process {process.pid}"), hold(tmp_path / "lock"):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    with hold(tmp_path / "lock"):
        pass


def test_nobody_holds_a_lock_that_is_not_there(tmp_path: Path) -> None:
    assert holder(tmp_path / "lock") is None
