"""The face: Ray only when Ray is asked for."""

from __future__ import annotations

import subprocess
import sys

import cluster
from cluster import open_pool
from ensemble.config import ExecutionConfig
from ensemble.runs.pool import SerialPool


def test_serial_is_this_process() -> None:
    pool = open_pool(ExecutionConfig(pool="serial"), members=3)
    assert isinstance(pool, SerialPool)


def test_ray_is_imported_only_when_it_is_asked_for() -> None:
    program = (
        "import sys, cluster; from ensemble.config import ExecutionConfig;"
        "cluster.open_pool(ExecutionConfig(pool='serial'), members=1);"
        "print('ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_face_is_flat() -> None:
    assert "open_pool" in cluster.__all__
    assert all(hasattr(cluster, name) for name in cluster.__all__)
