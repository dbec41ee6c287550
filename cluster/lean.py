"""A private Ray of what one machine needs, begun without waiting for what nobody asks.

``ray.init`` also starts an API server (for the dashboard and usage statistics), a monitor that adds nodes to a cluster,
and one that copies the workers' output to the driver: three Python processes that a run on this machine has no use for,
together a second to start and one to end. Then it asks each whole second whether its node is there.

What is replaced here is private to Ray. Where a release has it no more, that part of the start is Ray's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import ray._private.node
import ray._private.services
import ray._private.state
import ray._private.utils

LONGEST_WAIT = 30.0
"""Seconds for the node to come; then Ray's own way of waiting says what is wrong."""


@contextmanager
def lean_start() -> Iterator[None]:
    """Within it ``ray.init`` starts a head node, its agents and its workers, nothing else."""
    node, services = ray._private.node.Node, ray._private.services
    with ExitStack() as undo:
        for name in ("start_api_server", "start_monitor", "start_log_monitor"):
            undo.enter_context(_replaced(node, name, lambda self, **options: None))
        if hasattr(services, "get_node"):
            undo.enter_context(_replaced(services, "get_node", _soon(services.get_node)))
        # The agents then leave out what serves the dashboard, as where Ray is installed without it.
        without = ImportError("a private Ray has no dashboard")
        undo.enter_context(_replaced(ray._private.utils, "get_dashboard_dependency_error", lambda: without))
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: Callable[..., Any]) -> Iterator[None]:
    if not hasattr(owner, name):
        yield
        return
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _soon(get_node: Callable[[str, str], Any]) -> Callable[[str, str], Any]:
    """``get_node``, which sleeps for a second between two looks, called once there is something to get."""

    def get(address: str, node_id: str) -> Any:
        state: Any = ray._private.state.GlobalState()  # type: ignore[no-untyped-call]
        options = ray._private.services._get_gcs_client_options(address)  # type: ignore[no-untyped-call]
        state._initialize_global_state(options)
        patience = time.monotonic() + LONGEST_WAIT
        while time.monotonic() < patience and not _is_there(state, node_id):
            time.sleep(0.02)
        return get_node(address, node_id)

    return get


def _is_there(state: Any, node_id: str) -> bool:
    return any(node["NodeID"] == node_id and node["Alive"] for node in state.node_table())
