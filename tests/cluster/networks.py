"""Nodes as network namespaces: their own addresses, host names, temporary files and shared memory.

What one node writes another does not see; the code and the virtual environment are installed on all, as it were. Needs
root, iproute2 and Linux.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
RAY = [sys.executable, "-m", "ray.scripts.scripts", "start", "--num-cpus=1", "--disable-usage-stats"]
QUICK = '{"health_check_initial_delay_ms":0,"health_check_period_ms":1000,"health_check_failure_threshold":4}'


def missing() -> str | None:
    """Why there can be no namespaces here; None where there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return "network namespaces need iproute2 and util-linux"
    probe = f"ens-probe-{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"network namespaces are refused: {tried.stderr.strip()}"
    _ip("netns", "del", probe)
    return None


class Network:
    """Machines on one switch, each with a place for temporary files that only it sees."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._names: dict[str, str] = {}
        self._hub = self._namespace("hub")
        _ip("-n", self._hub, "link", "add", "switch", "type", "bridge")
        _ip("-n", self._hub, "link", "set", "switch", "up")

    def machine(self, name: str) -> str:
        """Connect one more machine, and return its address."""
        space, port = self._namespace(name), f"to-{name}"
        address = f"10.213.7.{len(self._names)}"
        _ip("-n", self._hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("-n", self._hub, "link", "set", port, "master", "switch", "up")
        _ip("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", space, "link", "set", device, "up")
        return address

    def cut(self, name: str) -> None:
        """Pull the machine's cable; nothing on it notices but by silence."""
        _ip("-n", self._hub, "link", "set", f"to-{name}", "down")

    def run(self, name: str, script: str, *, token: Path) -> subprocess.Popen[str]:
        """Start a shell script on a machine, with a host name and temporary directories of its own."""
        private = f"mount -t tmpfs own {self._directory} && mount -t tmpfs own /dev/shm && hostname {name}"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        return subprocess.Popen(
            [
                "ip",
                "netns",
                "exec",
                self._names[name],
                "unshare",
                "--uts",
                "sh",
                "-c",
                f"{private} && {script}",
            ],
            cwd=ROOT,
            env={**environment, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ray(self, address: str, *, head: str | None = None) -> str:
        """The command that makes a machine a node, of the head at an address or the head itself."""
        place = ["--head", "--port=6379", "--include-dashboard=false", f"--system-config='{QUICK}'"]
        if head is not None:
            place = [f"--address={head}:6379"]
        own = [f"--node-ip-address={address}", f"--temp-dir={self._directory}"]
        return " ".join([*RAY, *place, *own, ">/dev/null 2>&1"])

    def close(self) -> None:
        """End every process of these machines, and take the machines away."""
        for space in self._names.values():
            for pid in _ip("netns", "pids", space).split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            _ip("netns", "del", space)

    def _namespace(self, name: str) -> str:
        self._names[name] = f"ens-{os.getpid()}-{name}"
        _ip("netns", "add", self._names[name])
        return self._names[name]


@contextmanager
def network() -> Iterator[Network]:
    with tempfile.TemporaryDirectory(prefix="ens-") as directory:
        built = Network(Path(directory))
        try:
            yield built
        finally:
            built.close()


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout
