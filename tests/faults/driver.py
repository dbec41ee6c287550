"""The coordinator's process in the fault runs: trains a run, or takes it up where there is one.

``python -m tests.faults.driver RUN OPTIONS [MORE…]``, where OPTIONS is a JSON object of what to train, and MORE goes to
`train` and `resume` alike: the command's own ways out (messages, exit codes), with short waits between attempts so that
hundreds of faults fit into minutes.
"""

from __future__ import annotations

import json
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


def main(run: str, options: str, *more: str) -> None:
    from ensemble.cli.main import cli
    from ensemble.runs import retry

    retry.LONGEST_WAIT = 0.1
    if (Path(run) / "config.json").exists():
        cli(["resume", run, "--quiet", *EXECUTION, *more], prog_name="ensemble")
    flags = [
        f"--{name.replace('_', '-')}={','.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in json.loads(options).items()
    ]
    cli(["train", "--run", run, "--quiet", *flags, *EXECUTION, *more], prog_name="ensemble")


if __name__ == "__main__":
    main(*sys.argv[1:])
