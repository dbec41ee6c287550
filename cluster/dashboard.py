"""A cluster's dashboard, over HTTP: found, let in with a token where it asks for one, and asked within bounds.

Ray's own client for jobs goes to ``RAY_ADDRESS`` whatever address it is given, waits without end for a silent port, and
shows its token to clusters that ask for none; so this speaks the REST interface that is documented for it.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from cluster.joining import is_loopback
from ensemble.errors import UsageError

PATIENCE = 10.0
"""Seconds for an answer; a dashboard is asked at most twice before it is known."""
OLDEST = (2, 59)
"""Of Ray's versions, the oldest that a job of ours runs under."""


class RefusedError(Exception):
    """The dashboard answered, and the answer is no."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {' '.join(text.split())[:500]}")
        self.status = status


class SilentError(Exception):
    """No answer: nobody there, gone, or too slow."""


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: the token is for this host alone."""

    def redirect_request(self, *args: Any, **options: Any) -> None:
        return None


class Dashboard:
    """One that lets us in.

    Attributes:
        url: ``http://HOST:PORT``.
        version: Of the cluster's Ray.
    """

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self.url = url
        self.version = ""
        self._token = token
        self._opener = urllib.request.build_opener(_StayHere)

    def ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        document: dict[str, Any] | None = None,
        patience: float = PATIENCE,
    ) -> Any:
        """The JSON that the dashboard answers, or its text where that is none.

        Args:
            method, path: Of the request.
            content: Bytes to send.
            document: JSON to send.
            patience: Seconds between any two words of the answer.

        Raises:
            RefusedError: it said no.
            SilentError: it said nothing.
        """
        request = urllib.request.Request(self.url + path, data=content, method=method)
        if document is not None:
            request.data = json.dumps(document).encode()
            request.add_header("Content-Type", "application/json")
        if self._token is not None:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=patience) as answer:
                text = answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            raise RefusedError(error.code, error.read().decode(errors="replace")) from None
        except urllib.error.URLError as error:
            reason = error.reason
            raise SilentError(getattr(reason, "strerror", None) or str(reason)) from None
        except http.client.HTTPException as error:
            raise SilentError(f"what answers speaks no HTTP ({type(error).__name__})") from None
        except OSError as error:
            raise SilentError(error.strerror or str(error) or type(error).__name__) from None
        try:
            return json.loads(text)
        except ValueError:
            return text


def open_dashboard(address: str, *, insecure: bool, say: Callable[[str], None]) -> Dashboard:
    """The dashboard at an address, once it has let us in.

    Args:
        address: ``http://HOST:8265`` or ``https://…``.
        insecure: Submit to a cluster beyond this machine though it asks for no token.
        say: Told what the user should know of it.

    Raises:
        UsageError: not an address, nobody there, no Ray, an older Ray, no or a wrong token, or a cluster that anybody
            may submit to. Nothing was sent. No message holds a token.
    """
    parts = check_address(address)
    url = f"{parts.scheme}://{parts.netloc}"
    port = parts.port or (443 if parts.scheme == "https" else 80)
    near = is_loopback(
        f"[{parts.hostname}]:{port}" if ":" in (parts.hostname or "") else f"{parts.hostname}:{port}"
    )
    dashboard = Dashboard(url)
    try:
        dashboard.version = _version(dashboard)
        if not near and not insecure:
            raise UsageError(
                f"the cluster at {url} lets anybody in without a token; start it with RAY_AUTH_MODE=token, or say "
                "--insecure if its network is closed"
            )
    except RefusedError as refused:
        if refused.status not in (401, 403):
            raise UsageError(_no_dashboard(url, str(refused))) from None
        dashboard = Dashboard(url, token=find_token(url))
        try:
            dashboard.version = _version(dashboard)
        except RefusedError as again:
            raise UsageError(
                f"the cluster at {url} refused the token (HTTP {again.status}); put the cluster's own into "
                "~/.ray/auth_token, or name its file with RAY_AUTH_TOKEN_PATH"
            ) from None
        if not near and parts.scheme == "http":
            say(f"the token travels to {url} in clear text; use https, or an ssh tunnel to the head")
    numbers = tuple(int(number) for number in re.findall(r"\d+", dashboard.version)[:2])
    if numbers < OLDEST:
        raise UsageError(
            f"the cluster at {url} runs Ray {dashboard.version}, and a job needs {'.'.join(map(str, OLDEST))} or "
            "newer; bring the cluster up to date"
        )
    return dashboard


def check_address(address: str) -> SplitResult:
    """The parts of a dashboard's address.

    Raises:
        UsageError: it is none.
    """
    parts = urlsplit(address)
    try:
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port beyond all ports
        sound = False
    if not sound or "@" in parts.netloc or parts.path not in ("", "/") or parts.query:
        raise UsageError(
            f"address is {address.rpartition('@')[2]!r}: give the dashboard of the cluster's head, such as "
            "http://head.example:8265"
        )
    return parts


def find_token(url: str) -> str:
    """The user's token, from where Ray looks for it: $RAY_AUTH_TOKEN, $RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token.

    Raises:
        UsageError: there is none.
    """
    token = os.environ.get("RAY_AUTH_TOKEN", "").strip()
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if not token:
        try:
            token = path.read_text().strip()
        except (OSError, ValueError):
            token = ""
    if not token or not token.isprintable():
        raise UsageError(
            f"the cluster at {url} asks for a token and none was found; put it into ~/.ray/auth_token, or name its "
            "file with RAY_AUTH_TOKEN_PATH"
        )
    return token


def _version(dashboard: Dashboard) -> str:
    try:
        answer = dashboard.ask("GET", "/api/version")
    except SilentError as silent:
        raise UsageError(_no_dashboard(dashboard.url, str(silent))) from None
    if not isinstance(answer, dict) or "ray_version" not in answer:
        raise UsageError(_no_dashboard(dashboard.url, "what answers is no dashboard of Ray's"))
    return str(answer["ray_version"])


def _no_dashboard(url: str, reason: str) -> str:
    return (
        f"no Ray dashboard at {url}: {reason}; give the address of the head's dashboard (usually port 8265). A head "
        "has one where `ray[default]` is installed, and beyond its own machine with --dashboard-host=0.0.0.0"
    )
