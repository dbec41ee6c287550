"""Whether a running cluster can be joined, and may be: asked in a process of its own, within a bound.

``ray.init`` retries a wrong address or token for minutes, prints while it does, and may abort the process. So another
process tries first, once without a token: a cluster that lets it in asks for none.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ensemble.errors import UsageError

PATIENCE = 12.0
"""Seconds for one attempt; with two of them and the port, an answer comes within 30."""
PORT_PATIENCE = 5.0

_PROBE = """
import json, sys, ray
ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)
print(json.dumps(ray.get_runtime_context().gcs_address))
"""

Answer = Literal["joined", "token", "no token", "version", "no cluster", "silent"]


@dataclass(frozen=True)
class Probe:
    """What an attempt at joining came to; ``detail`` is the address, or Ray's own last line."""

    answer: Answer
    detail: str = ""


def check_joinable(address: str, *, insecure: bool, patience: float = PATIENCE) -> tuple[str, dict[str, str]]:
    """The address to join, and the environment variables to join it under.

    Args:
        address: ``auto`` or ``HOST:PORT``, as the user gave it.
        insecure: Join a cluster beyond this machine though it asks for no token.
        patience: Seconds that each of two attempts may take.

    Raises:
        UsageError: not an address, nothing answers there, another version, no or a wrong token, or a cluster that
            anybody may join. Nothing is left running. No message holds a token.
    """
    asked = os.environ.get("RAY_ADDRESS") or "auto" if address == "auto" else address
    if "://" in asked:
        raise UsageError(
            f"address is {asked!r}: Ray Client and Jobs addresses cannot stream results; give HOST:PORT of the "
            "cluster's head (usually port 6379), or send the whole run there with `ensemble submit`"
        )
    if asked != "auto":
        _check_port(asked)
    open_to_all = _probe(asked, {"RAY_AUTH_MODE": "disabled"}, patience=patience)
    if open_to_all.answer == "joined":
        found = open_to_all.detail if asked == "auto" else asked
        if not insecure and not is_loopback(found):
            raise UsageError(
                f"the cluster at {found} lets anybody in without a token; start it with RAY_AUTH_MODE=token, or say "
                "--insecure if its network is closed"
            )
        return asked, {"RAY_AUTH_MODE": "disabled"}
    if open_to_all.answer != "token":
        raise UsageError(explain(asked, open_to_all, patience=patience))
    with_token = _probe(asked, {"RAY_AUTH_MODE": "token"}, patience=patience)
    if with_token.answer != "joined":
        raise UsageError(explain(asked, with_token, patience=patience))
    return asked, {"RAY_AUTH_MODE": "token"}


def explain(address: str, probe: Probe, *, patience: float) -> str:
    """What was wrong, and what to do."""
    place = "on this machine" if address == "auto" else f"at {address}"
    return {
        "token": f"the cluster {place} refused the token; put the cluster's own into ~/.ray/auth_token, or name its "
        "file with RAY_AUTH_TOKEN_PATH",
        "no token": f"the cluster {place} asks for a token and none was found; put it into ~/.ray/auth_token, or name "
        "its file with RAY_AUTH_TOKEN_PATH",
        "version": f"the cluster {place} runs other versions: {probe.detail}; use the same Ray and Python as there",
        "no cluster": f"no running Ray cluster was found {place}; start one with `ray start --head`, or say "
        "--address local for a private one",
        "silent": f"something listens {place}, but no Ray cluster answered within {patience:g} s; give the port of the "
        "cluster's head (usually 6379), not of its dashboard",
        "joined": f"the cluster {place} can be joined",
    }[probe.answer]


def is_loopback(address: str) -> bool:
    """Whether ``HOST:PORT`` names the loopback device, which nobody beyond this machine reaches."""
    host, _ = split_address(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split_address(address: str) -> tuple[str, int]:
    """Host and port; an IPv6 host stands in brackets.

    Raises:
        UsageError: not of that form.
    """
    match = re.fullmatch(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]/@]+)):(?P<port>\d{1,5})", address)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise UsageError(f"address is {address!r}: give auto, or HOST:PORT such as head.example:6379")
    return match["v6"] or match["host"], int(match["port"])


def classify(returncode: int, stdout: str, stderr: str) -> Probe:
    """What the attempt's exit and output say."""
    if returncode == 0:
        return Probe("joined", json.loads(stdout.strip().splitlines()[-1]))
    if "InvalidAuthToken" in stderr or "Unauthenticated" in stderr:
        return Probe("token")
    if "AuthenticationError" in stderr:
        return Probe("no token")
    mismatch = re.search(r"Version mismatch.*", stderr, re.DOTALL)
    if mismatch is not None:
        return Probe("version", " ".join(mismatch[0].split())[:300])
    if "Could not find any running Ray instance" in stderr:
        return Probe("no cluster")
    return Probe("silent")


def _check_port(address: str) -> None:
    host, port = split_address(address)
    try:
        socket.create_connection((host, port), timeout=PORT_PATIENCE).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"no Ray cluster at {address}: {reason}; check the address of the cluster's head and that it runs"
        ) from None


def _probe(address: str, settings: Mapping[str, str], *, patience: float) -> Probe:
    # One try instead of Ray's twenty; the rest of the user's environment, the token's path above all, stays.
    environment = {**os.environ, **settings, "RAY_gcs_server_port_wait_time_s": "1"}
    if settings["RAY_AUTH_MODE"] == "disabled":
        environment = {
            key: value for key, value in environment.items() if not key.startswith("RAY_AUTH_TOKEN")
        }
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PROBE, address],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience,
        )
    except subprocess.TimeoutExpired as expired:
        seen = expired.stderr or b""
        return classify(-9, "", seen.decode(errors="replace") if isinstance(seen, bytes) else seen)
    return classify(done.returncode, done.stdout, done.stderr)
