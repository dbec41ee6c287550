"""Which clusters are joined, and what is said of the others."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping

import pytest

from cluster import joining
from cluster.joining import Probe, check_joinable, classify, is_loopback, split_address
from ensemble.errors import UsageError


@pytest.fixture(autouse=True)
def _no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def pretend(monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, Probe]) -> list[str]:
    """Let attempts come to given answers, by the authentication they are made with; returns what was tried."""
    tried: list[str] = []

    def probe(address: str, settings: Mapping[str, str], *, patience: float) -> Probe:
        tried.append(settings["RAY_AUTH_MODE"])
        return answers[settings["RAY_AUTH_MODE"]]

    monkeypatch.setattr(joining, "_probe", probe)
    monkeypatch.setattr(joining, "_check_port", lambda address: None)
    return tried


@pytest.mark.parametrize("address", ["ray://head:10001", "http://head:8265"])
def test_ray_client_is_refused_with_the_reason(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="cannot stream results; give HOST:PORT"):
        check_joinable(address, insecure=True)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UsageError, match="cannot stream results"):
        check_joinable("auto", insecure=True)


@pytest.mark.parametrize(
    "address", ["local", "head", "head:", "head:x", "head:0", "head:70000", "a b:1", "u@h:1", ""]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="give auto, or HOST:PORT"):
        check_joinable(address, insecure=True)


def test_addresses_are_split() -> None:
    assert split_address("head.example:6379") == ("head.example", 6379)
    assert split_address("[::1]:6379") == ("::1", 6379)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:6379", True),
        ("127.8.9.1:6379", True),
        ("localhost:6379", True),
        ("[::1]:6379", True),
        ("10.0.0.1:6379", False),
        ("head:6379", False),
        ("localhost.example:6379", False),
        ("0.0.0.0:6379", False),
    ],
)
def test_loopback_is_told_from_the_rest(address: str, loopback: bool) -> None:
    assert is_loopback(address) == loopback


def test_a_closed_port_is_refused_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(UsageError, match=rf"no Ray cluster at 127.0.0.1:{port}: Connection refused"):
        check_joinable(f"127.0.0.1:{port}", insecure=False)
    assert time.monotonic() - began < 5


def test_something_that_is_not_ray_is_refused_within_the_bound(listener: socket.socket) -> None:
    began = time.monotonic()
    with pytest.raises(UsageError, match=r"no Ray cluster answered within 3 s"):
        check_joinable(f"127.0.0.1:{listener.getsockname()[1]}", insecure=False, patience=3.0)
    assert time.monotonic() - began < 8
    assert joining.PORT_PATIENCE + 2 * joining.PATIENCE < 30


def test_a_cluster_open_to_all_is_refused_beyond_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = pretend(monkeypatch, {"disabled": Probe("joined", "10.0.0.1:6379")})
    for address in ("10.0.0.1:6379", "auto"):
        with pytest.raises(UsageError, match=r"at 10.0.0.1:6379 lets anybody in .* --insecure"):
            check_joinable(address, insecure=False)
        assert check_joinable(address, insecure=True) == (address, {"RAY_AUTH_MODE": "disabled"})
    assert check_joinable("127.0.0.1:6379", insecure=False) == (
        "127.0.0.1:6379",
        {"RAY_AUTH_MODE": "disabled"},
    )
    assert "token" not in tried, "a token was shown to a cluster that asks for none"


def test_a_token_is_shown_to_the_cluster_that_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {"disabled": Probe("token"), "token": Probe("joined")})
    assert check_joinable("10.0.0.1:6379", insecure=False) == ("10.0.0.1:6379", {"RAY_AUTH_MODE": "token"})


@pytest.mark.parametrize(
    ("answer", "message"),
    [("token", "refused the token"), ("no token", "asks for a token and none was found")],
)
def test_a_wrong_or_missing_token_is_told(
    answer: joining.Answer, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "s3cret" * 6)
    pretend(monkeypatch, {"disabled": Probe("token"), "token": Probe(answer)})
    with pytest.raises(UsageError, match=message) as caught:
        check_joinable("10.0.0.1:6379", insecure=False)
    assert os.environ["RAY_AUTH_TOKEN"] not in str(caught.value)


@pytest.mark.parametrize(
    ("returncode", "stdout", "stderr", "expected"),
    [
        (0, 'noise\n"10.0.0.1:6379"\n', "", Probe("joined", "10.0.0.1:6379")),
        (
            1,
            "",
            "W gcs_client.cc: Unauthenticated: RPC error: InvalidAuthToken: Authentication token is missing",
            "token",
        ),
        (
            1,
            "",
            "ray.exceptions.AuthenticationError: Token authentication is enabled but no token",
            "no token",
        ),
        (1, "", "RuntimeError: Version mismatch: The cluster was started with:\n    Ray: 2.59.0", "version"),
        (1, "", "ConnectionError: Could not find any running Ray instance.", "no cluster"),
        (-9, "", "Failed to connect to GCS at address 10.0.0.1:1 within 5 seconds.", "silent"),
    ],
)
def test_attempts_are_told_apart(returncode: int, stdout: str, stderr: str, expected: Probe | str) -> None:
    probe = classify(returncode, stdout, stderr)
    assert expected in (probe, probe.answer)
    if expected == "version":
        assert "started with: Ray: 2.59.0" in joining.explain("h:1", probe, patience=1)
