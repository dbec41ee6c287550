"""A cluster of one node with a dashboard, started with `ray start` as users do, that asks for a token."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.dashboard import Dashboard, RefusedError, SilentError
from cluster.processes import end_processes

ROOT = Path(__file__).parents[2]
PORTS = (
    "port",
    "dashboard-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "metrics-export-port",
    "ray-client-server-port",
)
"""Those that would else be the same for every head on a machine."""


@dataclass(frozen=True)
class Cluster:
    """A running head."""

    url: str
    environment: dict[str, str]
    """Of a user who has its token."""
    home: Path
    """The user's home directory there; ``token`` in it."""


@contextmanager
def started_head() -> Iterator[Cluster]:
    """A head, until the block ends; nothing of it stays."""
    # Short: the paths of Ray's sockets are limited to 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ej") as directory:
        home = Path(directory)
        token = secrets.token_hex(32)
        (home / "token").write_text(token)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")} | {
            "RAY_AUTH_TOKEN_PATH": str(home / "token"),
            "HOME": directory,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        start = [
            *("ray", "start", "--head", "--block", "--dashboard-host=127.0.0.1", "--disable-usage-stats"),
            *("--num-cpus=2", "--object-store-memory=100000000", f"--temp-dir={home / 'r'}"),
            *(f"--{option}={port}" for option, port in ports.items()),
        ]
        silent = subprocess.DEVNULL
        asks_for_it = environment | {"RAY_AUTH_MODE": "token"}
        head = subprocess.Popen(start, env=asks_for_it, stdout=silent, stderr=silent)
        there = Dashboard(f"http://127.0.0.1:{ports['dashboard-port']}", token=token)
        try:
            _wait_for_node(there, head)
            yield Cluster(there.url, environment, home)
        finally:
            head.send_signal(signal.SIGTERM)
            end_processes(home, grace=10.0)
            head.wait()


def _wait_for_node(there: Dashboard, head: subprocess.Popen[bytes]) -> None:
    """Until a job can be submitted: the dashboard answers before its node does."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert head.poll() is None, "the head did not start"
        try:
            if there.ask("GET", "/nodes?view=summary")["data"]["summary"]:
                return
        except (SilentError, RefusedError, KeyError, TypeError):
            pass
        time.sleep(0.2)
    raise AssertionError("the head has no dashboard")


def free_ports(count: int) -> list[int]:
    """Different ones that nobody listens on now; somebody may before they are used."""
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]
