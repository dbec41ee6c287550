"""A run on a disk of a few hundred kilobytes: ``unshare -rm python -m tests.faults.small_disk DIRECTORY``.

In a mount namespace of its own, where a tmpfs can be mounted without being root. The run meets a full disk, is given
room, and is taken up again; where it does not end as on a large disk, this ends with an assertion.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(directory: str) -> None:
    from ensemble.errors import DiskError
    from ensemble.launch import resume, train
    from ensemble.runs import atomic
    from tests.faults.processes import digests
    from tests.test_launch import quick

    large, small = Path(directory) / "large", Path(directory) / "small"
    config = quick(hidden=(64, 64), checkpoint_every=1e-9)
    train(config, run=large / "run")
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)], check=True)
    try:
        train(config, run=small / "run")
    except DiskError as error:
        print(error)
    else:
        raise AssertionError("the disk was large enough")
    assert not list((small / "run").rglob(f"*{atomic.TEMPORARY}"))
    subprocess.run(["mount", "-o", "remount,size=100m", str(small)], check=True)
    resume(small / "run")
    assert digests(small / "run") == digests(large / "run")


if __name__ == "__main__":
    main(sys.argv[1])
