"""Tasks on Ray actors: a few warm workers, one copy of the data a node, events as they arrive.

A worker's death is a message like any other. Restarts of members are the coordinator's; the pool only puts a fresh
worker in a dead one's place when there is work for it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import (
    GetTimeoutError,
    ObjectLostError,
    ObjectStoreFullError,
    OutOfDiskError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster import worker
from cluster.resources import WorkerPlan
from cluster.session import Session
from ensemble.data.dataset import Dataset
from ensemble.errors import ClusterLostError, UsageError
from ensemble.runs.pool import Message
from ensemble.training.events import Cause, Event, Failed
from ensemble.training.tasks import Task, Train, run_task

cloudpickle.register_pickle_by_value(worker)  # type: ignore[no-untyped-call]

EVENTS_AHEAD = 2
"""How far a worker may run ahead of the coordinator; without a bound, stale checkpoints fill the object store."""
CANCEL_GRACE = 60.0
"""Seconds in which a worker must reach its next event after a cancellation; then it is killed."""
SLICE = 1.0
"""Seconds for which a wait does not ask whether the cluster is still there."""
MOST_MESSAGES = 64
"""One poll returns no more, so that a fast worker cannot keep the coordinator from its other work."""
LONGEST_EVIDENCE = 1500


@dataclass(frozen=True)
class _Attempt:
    task: Task
    number: int

    @property
    def member(self) -> int | None:
        task = self.task
        return task.plans[0].index if isinstance(task, Train) and len(task.plans) == 1 else None

    def says(self, event: Event | None) -> Message:
        return Message(self.task.key, self.number, event)

    def failed(self, cause: Cause, evidence: str) -> Message:
        return self.says(Failed(self.member, cause, evidence))


class _Worker:
    """One actor and what it is doing: answering who it is (``pending``), running a task (``stream``, and the
    ``reference`` of an event that is on its way from another node), or nothing."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.pending: Any = actor.hello.remote()
        self.answer_by: float | None = None
        self.stream: Any = None
        self.reference: Any = None
        self.attempt: _Attempt | None = None
        self.identity: dict[str, Any] = {}
        self.killed = False

    @property
    def free(self) -> bool:
        return self.pending is None and self.attempt is None

    @property
    def source(self) -> Any:
        """What to wait for."""
        return next(source for source in (self.pending, self.reference, self.stream) if source is not None)

    def __str__(self) -> str:
        if not self.identity:
            return "a worker that had not started yet"
        return (
            f"worker pid {self.identity['pid']} on {self.identity['host']} (node {self.identity['node'][:8]})"
        )


class RayPool:
    """A `Pool` over the actors of one Ray session, which it closes with itself."""

    def __init__(
        self,
        session: Session,
        plan: WorkerPlan,
        *,
        worker_environment: Mapping[str, str],
        run: Callable[[Any, Any], Iterator[Any]] = run_task,
    ) -> None:
        """Start the workers; they import torch while the caller loads the data.

        Args:
            session: A running Ray; closed by `close`.
            plan: How many workers, and what each gets.
            worker_environment: Environment variables of the workers of a joined cluster.
            run: What a worker does with ``(task, data)``: an iterator of events.
        """
        self.workers = plan.workers
        self._session = session
        self._plan = plan
        self._data: Any = None
        self._queue: deque[_Attempt] = deque()
        self._arrived: list[Message] = []
        options: dict[str, Any] = {
            "num_cpus": plan.num_cpus,
            "num_gpus": plan.num_gpus,
            "max_restarts": 0,
            "max_concurrency": 1,
        }
        if not session.private:
            options["runtime_env"] = {"env_vars": dict(worker_environment)}
        self._actor_class = ray.remote(worker.MemberActor).options(**options)
        self._arguments: dict[str, Any] = {
            "search_path": [os.path.abspath(entry) for entry in ("", *sys.path)],
            "threads": plan.threads,
            "gpus": plan.num_gpus,
            "run": cloudpickle.dumps(run),  # type: ignore[no-untyped-call]
        }
        self._workers = [self._start_worker() for _ in range(plan.workers)]

    def share(self, data: Dataset) -> None:
        """Put the data into the object store, once; workers read the one copy of their node.

        Raises:
            UsageError: it does not fit.
        """
        self._session.check()
        try:
            self._data = ray.put(data)
        except (ObjectStoreFullError, OutOfDiskError) as error:
            size = (data.x.nbytes + data.y.nbytes) / 2**20
            raise UsageError(
                f"the data ({size:.0f} MiB) does not fit into Ray's object store ({type(error).__name__}); "
                "give it more shared memory (in a container --shm-size), or train with --pool serial"
            ) from None

    def submit(self, task: Task, *, attempt: int) -> None:
        if self._data is None:
            raise RuntimeError("share(data) comes before the first task")
        self._session.check()
        self._queue.append(_Attempt(task, attempt))
        self._assign()

    def poll(self, timeout: float) -> list[Message]:
        deadline = time.monotonic() + timeout
        self._session.check()
        self._end_overdue()
        while True:
            self._assign()
            left = 0.0 if self._arrived else max(0.0, deadline - time.monotonic())
            ready = self._wait(min(left, SLICE))
            self._session.check()
            for one in ready:
                self._receive(one)
            if len(self._arrived) >= MOST_MESSAGES or (not ready and (self._arrived or left <= SLICE)):
                arrived, self._arrived = self._arrived, []
                return arrived

    def running(self) -> Collection[str]:
        return [one.attempt.task.key for one in self._workers if one.attempt is not None]

    def cancel(self, key: str) -> None:
        for attempt in [waiting for waiting in self._queue if waiting.task.key == key]:
            self._queue.remove(attempt)
            self._arrived.append(attempt.failed("cancelled", "stopped by the coordinator before it began"))
        for one in self._doing(key):
            ray.cancel(one.stream)
            self._fail(one, "cancelled", f"stopped by the coordinator; {one}")
            # Free only once it has reached its next event, which is when it answers.
            one.pending, one.answer_by = one.actor.hello.remote(), time.monotonic() + CANCEL_GRACE

    def kill(self, key: str) -> None:
        for one in self._doing(key):
            one.killed = True
            self._kill(one)

    def waiting(self) -> str | None:
        if not self._queue or any(one.attempt for one in self._workers):
            return None
        self._session.check()
        free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
        total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        for name, amount in (("GPU", self._plan.num_gpus), ("CPU", self._plan.num_cpus)):
            if amount > free.get(name, 0.0):
                used = total.get(name, 0.0) - free.get(name, 0.0)
                return f"waiting for {amount:g} {name}: {used:g} of {total.get(name, 0.0):g} in use"
        return f"starting {self.workers} worker{'s' if self.workers > 1 else ''}"

    def describe(self) -> dict[str, Any]:
        nodes = self._session.nodes
        return {
            "pool": "ray",
            "workers": self.workers,
            "nodes": len(nodes),
            "cpus": sum(node.cpus for node in nodes),
            "gpus": sum(node.gpus for node in nodes),
            "cpus_per_member": self._plan.num_cpus,
            "gpus_per_member": self._plan.num_gpus,
            "threads": self._plan.threads,
            "ray": ray.__version__,
            "address": "private" if self._session.private else "joined",
            "notes": [*self._session.notes, *self._plan.notes],
        }

    def close(self) -> None:
        workers, self._workers = self._workers, []
        self._queue.clear()
        self._arrived.clear()
        with suppress(ClusterLostError):
            self._session.check()
        for one in workers:
            if self._session.lost:
                self._kill_here(one)
            elif not self._session.private:
                self._kill(one)
        self._session.close()

    # ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _start_worker(self) -> _Worker:
        return _Worker(self._actor_class.remote(**self._arguments))

    def _assign(self) -> None:
        """Give waiting tasks to free workers, and put a fresh worker in a missing one's place while tasks wait."""
        for one in self._workers:
            if self._queue and one.free:
                one.attempt = self._queue.popleft()
                method = one.actor.run.options(
                    num_returns="streaming", _generator_backpressure_num_objects=EVENTS_AHEAD
                )
                one.stream = method.remote(one.attempt.task, one.attempt.member, [self._data])
        coming = sum(one.pending is not None for one in self._workers)
        missing = self.workers - len(self._workers)
        self._workers += [self._start_worker() for _ in range(min(missing, len(self._queue) - coming))]

    def _doing(self, key: str) -> list[_Worker]:
        return [one for one in self._workers if one.attempt is not None and one.attempt.task.key == key]

    def _kill(self, one: _Worker) -> None:
        """``ray.kill`` leaves a stopped process alone, so SIGKILL is sent on its own node as well."""
        if not self._kill_here(one) and one.identity:
            there = NodeAffinitySchedulingStrategy(one.identity["node"], soft=False)
            ray.remote(worker.kill_worker).options(
                num_cpus=0, max_retries=0, scheduling_strategy=there
            ).remote(one.identity["pid"])
        ray.kill(one.actor)

    def _kill_here(self, one: _Worker) -> bool:
        here = one.identity.get("node") == self._session.node_id
        if here:
            worker.kill_worker(one.identity["pid"])
        return here

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for one in [one for one in self._workers if one.answer_by is not None and one.answer_by < now]:
            self._kill(one)
            self._workers.remove(one)

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _wait(self, seconds: float) -> list[_Worker]:
        """The workers that have something to tell; waits for the first."""
        by_source = {one.source: one for one in self._workers if not one.free}
        if not by_source:
            time.sleep(seconds)
            return []
        ready, _ = ray.wait(list(by_source), num_returns=1, timeout=seconds)
        if ready and len(by_source) > 1:
            ready, _ = ray.wait(list(by_source), num_returns=len(by_source), timeout=0)
        return [by_source[source] for source in ready]

    def _receive(self, one: _Worker) -> None:
        try:
            if one.pending is not None:
                one.identity = ray.get(one.pending, timeout=SLICE)
                one.pending = one.answer_by = None
                return
            if one.reference is None:
                # Bounded, unlike next(): at the stream's end that waits for the worker, which may never answer.
                one.reference = one.stream._next_sync(timeout_s=SLICE)
            if one.reference.is_nil():
                one.reference = None
                return
            event = ray.get(one.reference, timeout=SLICE)
            one.reference = None
        except StopIteration:
            self._tell(one, None)
        except GetTimeoutError:
            return
        except RayTaskError as error:
            # Not from the task, whose exceptions are events, but from around it: say, an event that cannot be pickled.
            self._bury(one, "raised", str(error))
        except RayError as error:
            cause, evidence = _diagnose(str(error), killed=one.killed, kind=type(error))
            if cause == "died" and one.identity and not self._session.has_node(one.identity["node"]):
                cause, evidence = "node_lost", f"its node does not answer. {evidence}"
            self._bury(one, cause, evidence)
        else:
            self._tell(one, event)

    def _tell(self, one: _Worker, event: Event | None) -> None:
        if one.attempt is not None:
            self._arrived.append(one.attempt.says(event))
        if event is None or isinstance(event, Failed):
            one.attempt = one.stream = one.reference = None

    def _fail(self, one: _Worker, cause: Cause, evidence: str) -> None:
        member = None if one.attempt is None else one.attempt.member
        self._tell(one, Failed(member, cause, evidence))

    def _bury(self, one: _Worker, cause: Cause, evidence: str) -> None:
        """A worker is gone. Its task, or where it had not started the next in the queue, failed with it."""
        self._workers.remove(one)
        ray.kill(one.actor)
        if one.attempt is None and self._queue and one.answer_by is None:
            one.attempt = self._queue.popleft()
        self._fail(one, cause, f"{one}: {evidence}")


def _diagnose(said: str, *, killed: bool, kind: type[RayError]) -> tuple[Cause, str]:
    """Why a worker died, from what Ray says. Its text offers the kernel's OOM killer as a guess at every death."""
    text = " ".join(said.split())
    detail = re.sub(r"^.*?(?=The actor is dead because)", "", text)[:LONGEST_EVIDENCE]
    if killed:
        return "hung", f"it did not answer and was killed. {detail}"
    if issubclass(kind, OutOfMemoryError) or "running low on memory" in text:
        return (
            "out_of_memory",
            f"{detail.partition(' Object store memory')[0]}; fewer at once (--workers) need less",
        )
    if issubclass(kind, ObjectLostError) or re.search(r"\bnode has died|owner's node", text, re.IGNORECASE):
        return "node_lost", detail
    return "died", detail
