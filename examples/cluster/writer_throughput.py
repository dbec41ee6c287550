"""What one coordinator can write: commits and bytes a second, by the protocol of a run directory.

    python examples/cluster/writer_throughput.py --directory runs

Every checkpoint of every member goes through one process, which commits it durably: write aside, fsync, rename, fsync
the directory, then the same for its manifest. This measures that alone, on the disk under ``--directory``, so take the
disk that runs will lie on. Each size is committed for a few seconds, several times; median, least and most are printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from ensemble.runs import atomic

SIZES = {"4 KiB": 2**12, "256 KiB": 2**18, "4 MiB": 2**22, "64 MiB": 2**26}


def commits_per_second(directory: Path, arrays: dict[str, np.ndarray], seconds: float) -> float:
    """Checkpoints committed a second: arrays, then the manifest that names them; the last two are kept."""
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds or not count:
        path = directory / f"checkpoint-{count:09d}.safetensors"
        file = atomic.write_tensors(path, arrays)
        manifest = {"size": file.size, "sha256": file.sha256}
        atomic.commit_json(path.with_suffix(".json"), manifest, names=(path,))
        old = directory / f"checkpoint-{count - 2:09d}.json"
        atomic.remove(old)
        atomic.remove(old.with_suffix(".safetensors"))
        count += 1
    return count / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--directory", type=Path, default=Path("."), help="On the disk to be measured.")
    parser.add_argument("--seconds", type=float, default=3.0, help="Of each measurement.")
    parser.add_argument("--repeats", type=int, default=5, help="Measurements of each size.")
    options = parser.parse_args()

    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, {options.directory.absolute()}"
    )
    print(f"{options.repeats} measurements of {options.seconds:g} s each: median [least, most]")
    for name, size in SIZES.items():
        arrays = {"w": np.random.default_rng(0).normal(size=size // 4).astype(np.float32)}
        with tempfile.TemporaryDirectory(dir=options.directory) as directory:
            rates = [
                commits_per_second(Path(directory), arrays, options.seconds) for _ in range(options.repeats)
            ]
        middle, least, most = statistics.median(rates), min(rates), max(rates)
        print(
            f"{name:>8}  {middle:8.1f} commits/s [{least:.1f}, {most:.1f}]   {middle * size / 1e6:8.1f} MB/s "
            f"[{least * size / 1e6:.1f}, {most * size / 1e6:.1f}]"
        )


if __name__ == "__main__":
    main()
