"""A running cluster for tests, whose nodes come and go as they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.processes import end_processes

ROOT = Path(__file__).parents[2]


class RunningCluster:
    """Its head has one CPU; ``address`` and the file of its ``token`` let others in."""

    def __init__(self, process: subprocess.Popen[str], token: Path) -> None:
        assert process.stdout is not None
        self._process = process
        self.token = token
        self.address = process.stdout.readline().strip()

    def add(self, **options: Any) -> str:
        """A node more (``num_cpus``, ``num_gpus``, ``resources``), and its id."""
        return self._do("add", options)

    def drop(self, node: str) -> None:
        """Lose a node."""
        self._do("drop", node)

    def end(self) -> None:
        """End the head, and all that is left."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def let_in(self, patch: pytest.MonkeyPatch) -> None:
        """Give this process the token."""
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ADDRESS"):
            patch.delenv(name, raising=False)
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(self.token))

    def _do(self, command: str, about: Any) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({command: about}) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@contextmanager
def running_cluster() -> Iterator[RunningCluster]:
    with tempfile.TemporaryDirectory(prefix="ens-", ignore_cleanup_errors=True) as directory:
        token = Path(directory) / "token"
        token.write_text("0123456789abcdef" * 4)
        environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.head", directory],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        cluster = RunningCluster(process, token)
        try:
            yield cluster
        finally:
            cluster.end()
            process.wait(timeout=30)
            assert process.stdout is not None
            process.stdout.close()
            end_processes(Path(directory), grace=0)
