"""Which dashboards we speak to, and what is said of the others; no message holds a token."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cluster import dashboard
from cluster.dashboard import Dashboard, RefusedError, SilentError, check_address, open_dashboard
from ensemble.errors import UsageError

TOKEN = "s3cret" * 6


class Head(ThreadingHTTPServer):
    """A dashboard as Ray's: asks for a token where it has one, and tells its version."""

    token: str | None = None
    version: Any = "2.60.0"
    seen: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Head

    def do_GET(self) -> None:
        self.server.seen.append(self.headers.get("Authorization"))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/api/version")
            self.end_headers()
            return
        expected, given = self.server.token, self.headers.get("Authorization")
        status = 200 if expected is None or given == f"Bearer {expected}" else 401 if given is None else 403
        self.send_response(status)
        self.end_headers()
        content = self.server.version
        self.wfile.write(
            content if isinstance(content, bytes) else json.dumps({"ray_version": content}).encode()
        )

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def head() -> Iterator[Head]:
    with Head(("127.0.0.1", 0), Handler) as server:
        server.seen = []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def _no_token_of_mine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    # An address in the environment is not the one that was asked for.
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "*")


def found(head: Head, *, insecure: bool = False) -> tuple[Dashboard, list[str]]:
    said: list[str] = []
    return open_dashboard(f"http://127.0.0.1:{head.server_port}", insecure=insecure, say=said.append), said


def test_an_open_cluster_on_this_machine_is_shown_no_token(head: Head, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    there, said = found(head)
    assert there.version == "2.60.0"
    assert set(head.seen) == {None}
    assert said == []


def test_an_open_cluster_beyond_this_machine_is_refused(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail without the refusal in `open_dashboard`."""
    monkeypatch.setattr(dashboard, "is_loopback", lambda address: False)
    with pytest.raises(UsageError, match=r"lets anybody in without a token; start it with .* --insecure"):
        found(head)
    found(head, insecure=True)


def test_a_token_is_shown_to_who_asks_for_it(
    head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head.token = TOKEN
    (tmp_path / "token").write_text(TOKEN + "\n")
    there, said = found(head)
    assert there.version == "2.60.0"
    assert head.seen == [None, f"Bearer {TOKEN}"]
    assert said == []
    monkeypatch.setattr(dashboard, "is_loopback", lambda address: False)
    assert "in clear text; use https" in found(head)[1][0]
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    with pytest.raises(UsageError, match="refused the token"):
        found(head)


@pytest.mark.parametrize("token", [None, "", "two\nlines"])
def test_a_missing_token_is_told(head: Head, token: str | None, tmp_path: Path) -> None:
    head.token = TOKEN
    if token is not None:
        (tmp_path / "token").write_text(token)
    with pytest.raises(
        UsageError, match=r"asks for a token and none was found; put it into ~/.ray/auth_token"
    ):
        found(head)


def test_a_wrong_token_is_told_and_not_shown(head: Head, tmp_path: Path) -> None:
    head.token = TOKEN
    (tmp_path / "token").write_text("mine-mine-mine")
    with pytest.raises(UsageError, match=r"refused the token \(HTTP 403\)") as caught:
        found(head)
    assert "mine-mine-mine" not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_the_token_follows_nobody_elsewhere(head: Head) -> None:
    """Seen to fail with urllib's own handling of redirections."""
    with pytest.raises(RefusedError, match="302"):
        Dashboard(f"http://127.0.0.1:{head.server_port}", token=TOKEN).ask("GET", "/away")
    assert len(head.seen) == 1


@pytest.mark.parametrize("version", ["2.40.1", "1.13.0", "2.58"])
def test_an_older_ray_is_refused(head: Head, version: str) -> None:
    head.version = version
    with pytest.raises(UsageError, match=rf"runs Ray {version}, and a job needs 2.59 or newer"):
        found(head)


@pytest.mark.parametrize("answer", [b"<html>hello</html>", b"[]", b"{}"])
def test_another_web_server_is_no_dashboard(head: Head, answer: bytes) -> None:
    head.version = answer
    with pytest.raises(UsageError, match="what answers is no dashboard of Ray's"):
        found(head)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UsageError, match=rf"no Ray dashboard at http://127.0.0.1:{port}: Connection refused"):
        open_dashboard(f"http://127.0.0.1:{port}", insecure=False, say=print)


def test_a_port_that_says_nothing_is_refused_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dashboard.ask, "__kwdefaults__", {**Dashboard.ask.__kwdefaults__, "patience": 0.3})
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        with pytest.raises(UsageError, match=r"no Ray dashboard at .*: timed out"):
            open_dashboard(f"http://127.0.0.1:{server.getsockname()[1]}", insecure=False, say=print)
    assert time.monotonic() - began < 5
    assert 2 * dashboard.PATIENCE < 30


def test_a_port_that_speaks_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def babble() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"\x00\x00\x12\x04\x00\n")

        threading.Thread(target=babble, daemon=True).start()
        with pytest.raises(SilentError, match="speaks no HTTP"):
            Dashboard(f"http://127.0.0.1:{server.getsockname()[1]}").ask("GET", "/")


NO_ADDRESS = "head, head:8265, auto, ray://head:10001, ftp://head, http://, http://head:99999, http://head:0, http://h/x"


@pytest.mark.parametrize(
    "address", ["", *NO_ADDRESS.split(", "), "http://me:s3cret@head:8265", "http://head?x=1"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="give the dashboard of the cluster's head") as caught:
        check_address(address)
    assert "s3cret" not in str(caught.value)


def test_addresses() -> None:
    for address in ("http://head:8265", "https://ray.example", "http://[::1]:8265/"):
        assert check_address(address).hostname
