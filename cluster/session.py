"""Starting or joining Ray safely, and leaving nothing of it behind.

A private Ray belongs to this process: its own token, its own directory, no dashboard, no regard for ``RAY_ADDRESS``.
Whatever a start changes in the process (environment, signal handlers, loggers) is put back.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import secrets
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from cluster.joining import check_joinable
from cluster.lean import lean_start
from cluster.processes import end_processes, session_directory
from cluster.resources import Node, object_store
from ensemble.config import ExecutionConfig
from ensemble.errors import ClusterLostError, UsageError

PRIVATE_GRACE = 2.0
"""Seconds of silence after which a private Ray is lost: its processes are on this machine, so they are dead."""
JOINED_GRACE = 30.0
"""The same for a joined cluster, whose head may be restarted; Ray itself aborts this process after 60."""
SHUTDOWN_GRACE = 3.0
INLINE = 64 * 2**20
"""Bytes up to which an event of a private Ray travels by itself, not through the object store: without its raylet, Ray
ends this process at the next use of the store, with no word and exit code 1. Only the data need be there."""


class Session:
    """A running Ray.

    Attributes:
        private: Started by and for this process, or joined.
        nodes: What there was at the last look.
        address: ``HOST:PORT`` of the head.
        node_id: The node that this process is connected to.
        directory: Of a private Ray, else None.
        notes: What was decided and has to be said.
        lost: Why the cluster is gone, once `check` has found it so.
    """

    def __init__(self, undo: ExitStack, *, directory: Path | None, notes: tuple[str, ...]) -> None:
        context = ray.get_runtime_context()
        self._owner = os.getpid()
        self.lost: str | None = None
        self.private = directory is not None
        self.directory = directory
        self.notes = notes
        self.address: str = context.gcs_address
        self.node_id: str = context.get_node_id()
        alive = _alive()
        self.nodes = tuple(map(_node, alive))
        (here,) = (node for node in alive if node["NodeID"] == self.node_id)
        host, _, port = self.address.rpartition(":")
        self._node = (here["NodeManagerAddress"], here["NodeManagerPort"])
        self._head = (host.strip("[]"), int(port))
        self._watch = _Watch(self._head, grace=PRIVATE_GRACE if self.private else JOINED_GRACE)
        undo.callback(self._watch.stop)
        self._undo = undo
        atexit.register(self.close)

    def check(self) -> None:
        """Return while the cluster is there. To be called before each use of the object store.

        Without its own node's raylet, Ray ends this process at the next large object, with no word and exit code 1; a
        dead one refuses connections at once. The head may come back, so it is given a while.

        Raises:
            ClusterLostError: its head has been silent for too long, or this machine's node is gone.
        """
        if self.lost is None and not _answers(self._node):
            self.lost = "its node on this machine is gone"
        if self.lost is None and self._watch.silent:
            self.lost = f"its head at {self.address} has not answered for {self._watch.grace:g} s"
        if self.lost is not None:
            raise ClusterLostError(f"the Ray cluster was lost: {self.lost}")

    def look(self) -> bool:
        """Bring ``nodes`` up to date; False where the head does not answer, whom asking now would hang."""
        self.check()
        if not _answers(self._head):
            return False
        self.nodes = tuple(map(_node, _alive()))
        return True

    def has_node(self, node_id: str) -> bool:
        """Whether a node still answers; Ray itself notices after many seconds that one does not."""
        self.check()
        return any(
            _answers((node["NodeManagerAddress"], node["NodeManagerPort"]))
            for node in _alive()
            if node["NodeID"] == node_id
        )

    def close(self) -> None:
        """End the session: of a private Ray no process and no file stays. Safe to call twice, and in a fork."""
        if os.getpid() != self._owner:
            return
        self._undo.close()
        atexit.unregister(self.close)


def start(execution: ExecutionConfig, *, worker_environment: Mapping[str, str]) -> Session:
    """Start a private Ray, or join the cluster at ``execution.address``.

    To be called on the main thread: the processes of a private Ray die with the thread that started them.

    Args:
        execution: ``address`` and ``insecure``.
        worker_environment: Environment variables of a private Ray's workers; in a joined cluster they come with each
            worker instead.

    Raises:
        UsageError: Ray already runs in this process, or the address cannot or may not be joined.
        ClusterLostError: Ray did not start.
    """
    if ray.is_initialized():
        raise UsageError(
            "Ray already runs in this process; end it with ray.shutdown() first, or train with --pool serial"
        )
    undo = ExitStack()
    try:
        if execution.address is None:
            directory, notes = _start_private(undo, worker_environment)
            return Session(undo, directory=directory, notes=notes)
        address, settings = check_joinable(execution.address, insecure=execution.insecure)
        _initialize(undo, settings, address=address)
        return Session(undo, directory=None, notes=())
    except BaseException:
        undo.close()
        raise


def _start_private(undo: ExitStack, worker_environment: Mapping[str, str]) -> tuple[Path, tuple[str, ...]]:
    directory = undo.enter_context(session_directory())
    token = directory / "token"
    descriptor = os.open(token, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    memory = _free_memory()
    size, note = (None, None) if memory is None else object_store(memory=memory, shared=_free_shared_memory())
    undo.callback(end_processes, directory, grace=SHUTDOWN_GRACE)
    settings = {**worker_environment, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    # Ray opens its directory to everybody, so that is one inside ours.
    inside = str(directory / "r")
    with lean_start():
        _initialize(
            undo,
            settings,
            address="local",
            include_dashboard=False,
            object_store_memory=size,
            _temp_dir=inside,
            _system_config={"max_direct_call_object_size": INLINE, "task_rpc_inlined_bytes_limit": INLINE},
        )
    return directory, () if note is None else (note,)


def _initialize(undo: ExitStack, settings: Mapping[str, str], **options: Any) -> None:
    """``ray.init``, after which environment, warnings, signal handlers are as before, and the terminal stays silent."""
    # Set again by later calls of Ray's.
    undo.callback(_restore, dict(os.environ), ["RAY_CLIENT_MODE"])
    undo.callback(_reload_authentication)
    undo.enter_context(_silence())
    undo.callback(ray.shutdown)
    with (
        _environment(settings, private=options["address"] == "local"),
        _signal_handlers(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        _reload_authentication()
        try:
            ray.init(log_to_driver=False, configure_logging=False, **options)
        except Exception as error:
            raise ClusterLostError(f"Ray did not start: {type(error).__name__}: {error}") from error


def _reload_authentication() -> None:
    """Ray reads mode and token once a process; a second session has others."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _environment(settings: Mapping[str, str], *, private: bool) -> Iterator[None]:
    """Settings for as long as Ray starts: its processes inherit them, the user's own later ones do not."""
    before = dict(os.environ)
    if private:
        # A token in the environment outranks its file; a Redis in the environment would be shared with others.
        for name in ("RAY_AUTH_TOKEN", "RAY_REDIS_ADDRESS"):
            os.environ.pop(name, None)
    os.environ.update(settings)
    # Ray's next default, and without a warning: num_gpus=0 leaves CUDA_VISIBLE_DEVICES alone; the worker hides GPUs.
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    try:
        yield
    finally:
        rays = {name for name in {*before, *os.environ} if name.startswith("RAY_")}
        _restore(before, {*settings, *rays, "PYTHONBREAKPOINT"})


def _restore(before: Mapping[str, str], names: Iterable[str]) -> None:
    for name in names:
        if name in before:
            os.environ[name] = before[name]
        else:
            os.environ.pop(name, None)


@contextmanager
def _signal_handlers() -> Iterator[None]:
    """Keep SIGTERM's handler, which ``ray.init`` replaces; a SIGTERM that arrives within is delivered after it.

    Ray's own handlers would end the process with other exit codes, and an exception raised at any place inside of Ray
    may be lost: its callbacks drop it. So the signal waits for the few seconds of a start.
    """
    utilities, before = ray._private.utils, signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    replace, received = utilities.set_sigterm_handler, threading.Event()
    utilities.set_sigterm_handler = lambda handler: None
    signal.signal(signal.SIGTERM, lambda number, frame: received.set())
    try:
        yield
    finally:
        utilities.set_sigterm_handler = replace
        signal.signal(signal.SIGTERM, before)
        if received.is_set():
            signal.raise_signal(signal.SIGTERM)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Ray off the terminal.

    ``log_to_driver=False`` silences the workers, not the raylet, whose notices of dead workers are printed on standard
    output by a thread of ``ray.init``; they come home as failures of their task, so nothing is lost.
    """
    logger, printer = logging.getLogger("ray"), ray._private.worker
    handlers, propagate, prints = list(logger.handlers), logger.propagate, printer._worker_logs_enabled
    logger.handlers[:], logger.propagate = [logging.NullHandler()], False
    printer._worker_logs_enabled = False
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = handlers, propagate
        printer._worker_logs_enabled = prints


class _Watch:
    """Asks each second whether the head still answers.

    Streams go from worker to driver without it, so its death is not noticed by waiting for events, and calls that need
    it hang.
    """

    def __init__(self, endpoint: tuple[str, int], *, grace: float) -> None:
        self.grace = grace
        self.silent = False
        self._endpoint = endpoint
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cluster-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        answered = time.monotonic()
        while not self._stop.wait(1.0):
            if _answers(self._endpoint):
                answered = time.monotonic()
            self.silent = time.monotonic() - answered >= self.grace


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _node(told: Mapping[str, Any]) -> Node:
    """A node as Ray tells of it; names with a colon, and its memory, are of Ray's own making."""
    amounts = told["Resources"]
    return Node(
        cpus=amounts.get("CPU", 0.0),
        gpus=amounts.get("GPU", 0.0),
        others={
            name: amount
            for name, amount in amounts.items()
            if ":" not in name and name not in ("CPU", "GPU", "memory", "object_store_memory")
        },
        store=amounts.get("object_store_memory", math.inf),
    )


def _answers(endpoint: tuple[str, int]) -> bool:
    try:
        socket.create_connection(endpoint, timeout=2.0).close()
    except OSError:
        return False
    return True


def _free_memory() -> int | None:
    """Bytes that this process may still take, by the machine and by its control group; None where neither is told."""
    readings: list[Callable[[], int]] = [
        lambda: int(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]) * 1024,
        lambda: (
            int(Path("/sys/fs/cgroup/memory.max").read_text())
            - int(Path("/sys/fs/cgroup/memory.current").read_text())
        ),
    ]
    found = []
    for read in readings:
        try:
            found.append(read())
        except (OSError, ValueError, IndexError):  # not Linux, or no limit
            continue
    return max(0, min(found)) if found else None


def _free_shared_memory() -> int:
    try:
        stats = os.statvfs("/dev/shm")
    except OSError:
        return 0
    return stats.f_frsize * stats.f_bavail
