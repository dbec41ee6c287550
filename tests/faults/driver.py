"""The coordinator's process in the fault runs: trains a run, or takes it up where there is one.

``python -m tests.faults.driver RUN``: the command's own ways out (messages, exit codes), with short waits between
attempts so that hundreds of faults fit into minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

OPTIONS: dict[str, Any] = {
    "data": "digits",
    "members": 4,
    "epochs": 40,
    "hidden": (64, 64),
    "batch_size": 64,
    "schedule": "cyclic",
    "snapshots": 2,
    "resample": "bootstrap",
}
EXECUTION = ("--retries", "100000", "--checkpoint-every", "0.3", "--silence", "4", "--workers", "2")


def main(run: str) -> None:
    from ensemble.cli.main import cli
    from ensemble.runs import retry

    retry.LONGEST_WAIT = 0.1
    if (Path(run) / "config.json").exists():
        cli(["resume", run, "--quiet", *EXECUTION], prog_name="ensemble")
    options = [
        f"--{key.replace('_', '-')}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for key, value in OPTIONS.items()
    ]
    cli(["train", "--run", run, "--quiet", *options, *EXECUTION], prog_name="ensemble")


if __name__ == "__main__":
    main(sys.argv[1])
