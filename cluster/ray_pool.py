"""Tasks on Ray actors: a few warm workers, one copy of the data a node, events as they arrive.

A worker's death is a message like any other. Restarts of members are the coordinator's; the pool only puts a fresh
worker in a dead one's place when there is work for it. In a joined cluster the number of workers follows its nodes.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import GetTimeoutError, ObjectStoreFullError, OutOfDiskError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster import worker
from cluster.deaths import diagnose
from cluster.handle import Attempt, Worker
from cluster.resources import WorkerPlan, lacking, places, resized
from cluster.session import Session
from ensemble.data.dataset import Dataset
from ensemble.data.mapped import MappedFile, mapped_file
from ensemble.errors import ClusterLostError, UsageError
from ensemble.runs.pool import Message
from ensemble.training.events import Cause, Event, Failed, Notice
from ensemble.training.tasks import Task, run_task

cloudpickle.register_pickle_by_value(worker)  # type: ignore[no-untyped-call]

EVENTS_AHEAD = 2
"""How far a worker may run ahead of the coordinator; without a bound, stale checkpoints fill the object store."""
CANCEL_GRACE = 60.0
"""Seconds in which a worker must reach its next event after a cancellation; then it is killed."""
START_PATIENCE = 120.0
"""Seconds from a worker's first word, as it gets its place, until it must be ready for tasks."""
LOOK_EVERY = 2.0
"""Seconds between two looks at the cluster: at its nodes, and at what tasks wait for."""
WAIT_UNSAID = 5.0
"""Seconds of waiting for resources that are not worth a word."""
SLICE = 1.0
"""Seconds for which a wait does not ask whether the cluster is still there."""
MOST_MESSAGES = 64
"""One poll returns no more, so that a fast worker cannot keep the coordinator from its other work."""


class RayPool:
    """A `Pool` over the actors of one Ray session, which it closes with itself."""

    def __init__(
        self,
        session: Session,
        plan: WorkerPlan,
        *,
        worker_environment: Mapping[str, str],
        run: Callable[[Any, Any], Iterator[tuple[Any, ...]]] = run_task,
    ) -> None:
        """Start the workers; they import torch while the caller loads the data.

        Args:
            session: A running Ray; closed by `close`.
            plan: How many workers, and what each gets.
            worker_environment: Environment variables of the workers of a joined cluster.
            run: What a worker does with ``(task, data)``: an iterator of events, those that come at once as one.
        """
        self._session = session
        self._plan = plan
        self._most = plan.workers
        self._data: Dataset | None = None
        self._file: MappedFile | None = None
        self._sent: dict[bool, Any] = {}
        self._looked = self._busy = time.monotonic()
        self._said_waiting = False
        self._queue: deque[Attempt] = deque()
        self._arrived: list[Message] = []
        self._options: dict[str, Any] = {
            "num_cpus": plan.num_cpus,
            "resources": dict(plan.others),
            "max_restarts": 0,
            "max_concurrency": 1,
        }
        if not session.private:
            self._options["runtime_env"] = {"env_vars": dict(worker_environment)}
        self._arguments: dict[str, Any] = {
            "search_path": [os.path.abspath(entry) for entry in ("", *sys.path)],
            "threads": plan.threads,
            "run": cloudpickle.dumps(run),  # type: ignore[no-untyped-call]
        }
        for note in (*session.notes, *plan.notes):
            self._say(note)
        self._workers: list[Worker] = []
        self._start_workers(plan.workers)

    @property
    def workers(self) -> int:
        return self._plan.workers

    def share(self, data: Dataset) -> None:
        """Put the data into the object store, once; workers read the one copy of their node.

        Ray sends it to other nodes in parts, and keeps what is larger than a store in a file on the node's disk that
        all its workers map. Rows that are mapped from a file already stay there: they are sent only to nodes that do
        not see that file.

        Raises:
            UsageError: it does not fit.
        """
        self._data, self._file, self._sent = data, mapped_file(data.x), {}
        self._reference(by_path=self._file is not None)
        if self._file is None:
            for note in self._data_notes():
                self._say(note)

    def _reference(self, *, by_path: bool) -> Any:
        """The data in the object store, with its rows or without them; put there when it is first asked for."""
        data = self._data
        assert data is not None
        if by_path not in self._sent:
            self._session.check()
            try:
                self._sent[by_path] = ray.put(replace(data, x=data.x[:0].copy()) if by_path else data)
            except (ObjectStoreFullError, OutOfDiskError) as error:
                raise UsageError(
                    f"the data ({_size(data) / 2**20:.0f} MiB) fit neither into Ray's object store nor on the disk of "
                    f"its temporary directory ({type(error).__name__}); give it more shared memory (in a container "
                    "--shm-size) or disk, or train with --pool serial"
                ) from None
        return self._sent[by_path]

    def submit(self, task: Task, *, attempt: int) -> None:
        if self._data is None:
            raise RuntimeError("share(data) comes before the first task")
        self._session.check()
        self._queue.append(Attempt(task, attempt))
        self._assign()

    def poll(self, timeout: float) -> list[Message]:
        deadline = time.monotonic() + timeout
        self._session.check()
        self._end_overdue()
        if time.monotonic() - self._looked >= LOOK_EVERY:
            self._look()
            self._looked = time.monotonic()
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
            one.ask("hello", within=CANCEL_GRACE)

    def kill(self, key: str) -> None:
        for one in self._doing(key):
            one.killed = True
            self._kill(one)

    def describe(self) -> dict[str, Any]:
        nodes = self._session.nodes
        return {
            "pool": "ray",
            "at_once": places(nodes, self._plan),
            "workers": self._most,  # at once; of the time of so many the report says how much was training
            "nodes": len(nodes),
            "cpus": sum(node.cpus for node in nodes),
            "gpus": sum(node.gpus for node in nodes),
            "cpus_per_member": self._plan.num_cpus,
            "gpus_per_member": self._plan.num_gpus,
            "threads": self._plan.threads,
            "ray": ray.__version__,
            "address": "private" if self._session.private else "joined",
            "notes": [*self._session.notes, *self._plan.notes, *self._data_notes()],
        }

    def _data_notes(self) -> list[str]:
        """How large or mapped data reach the nodes."""
        if self._data is None:
            return []
        if self._file is not None:
            sees = {
                one.identity["node"]: one.answers["sees"] for one in self._workers if "sees" in one.answers
            }
            there = sum(sees.values())
            others = "; the others were sent a copy" if there < len(sees) else ""
            return [
                f"the rows are mapped from {self._file.path}, which {there} of {len(sees)} nodes see{others}"
            ]
        store = min((node.store for node in self._session.nodes), default=math.inf)
        if _size(self._data) <= store:
            return []
        return [
            f"the data ({_size(self._data) / 2**20:.0f} MiB) are larger than the object store of a node "
            f"({store / 2**20:.0f} MiB): each node keeps its one copy in a file on its disk, sent there in parts"
        ]

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

    def _start_workers(self, count: int) -> None:
        """So many more, of both kinds where there are two: those without a GPU go to nodes that have none."""
        for _ in range(count):
            on_cpus = sum(not one.takes_gpu for one in self._workers)
            takes_gpu = on_cpus >= self._plan.cpu_workers
            gpus = self._plan.num_gpus if takes_gpu else 0
            # Ray's own way of placing keeps what needs no GPU off the nodes that have them, but fills node by node.
            strategy = "SPREAD" if takes_gpu else "DEFAULT"
            options = {**self._options, "num_gpus": gpus, "scheduling_strategy": strategy}
            actor = ray.remote(worker.MemberActor).options(**options).remote()
            self._workers.append(
                Worker(actor, takes_gpu=takes_gpu, arguments={**self._arguments, "gpus": gpus})
            )

    def _assign(self) -> None:
        """Give waiting tasks to free workers, and put a fresh worker in a missing one's place while tasks wait."""
        for one in self._workers:
            if self._queue and one.free and self._file is not None and "sees" not in one.answers:
                one.ask("sees", self._file, within=START_PATIENCE)
            elif self._queue and one.free:
                by_path = bool(one.answers.get("sees"))
                data = [self._reference(by_path=by_path), self._file if by_path else None]
                one.attempt = self._queue.popleft()
                method = one.actor.run.options(
                    num_returns="streaming", _generator_backpressure_num_objects=EVENTS_AHEAD
                )
                one.stream = method.remote(one.attempt.task, one.attempt.member, data)
        coming = sum(one.pending is not None for one in self._workers)
        missing = self.workers - len(self._workers)
        self._start_workers(min(missing, len(self._queue) - coming))

    def _doing(self, key: str) -> list[Worker]:
        return [one for one in self._workers if one.attempt is not None and one.attempt.task.key == key]

    def _kill(self, one: Worker) -> None:
        """``ray.kill`` leaves a stopped process alone, so SIGKILL is sent on its own node as well."""
        if not self._kill_here(one) and one.identity:
            there = NodeAffinitySchedulingStrategy(one.identity["node"], soft=False)
            ray.remote(worker.kill_worker).options(
                num_cpus=0, max_retries=0, scheduling_strategy=there
            ).remote(one.identity["pid"])
        ray.kill(one.actor)

    def _kill_here(self, one: Worker) -> bool:
        here = one.identity.get("node") == self._session.node_id
        if here:
            worker.kill_worker(one.identity["pid"])
        return here

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for one in [one for one in self._workers if one.answer_by is not None and one.answer_by < now]:
            self._kill(one)
            self._bury(one, "hung", f"it did not get ready within {START_PATIENCE:g} s and was killed")

    def _look(self) -> None:
        """Let the number of workers follow the nodes, and say what tasks have been waiting for."""
        if not self._session.private and self._session.look():
            before, self._plan = self._plan.workers, resized(self._plan, self._session.nodes)
            self._most = max(self._most, self.workers)
            if self.workers != before:
                change = "joined" if self.workers > before else "left"
                self._say(
                    f"nodes have {change} the cluster: members trained at once now {self.workers}, were {before}"
                )
        if not self._queue or any(one.attempt or one.identity for one in self._workers):
            self._busy, self._said_waiting = time.monotonic(), False
        elif not self._said_waiting and time.monotonic() - self._busy >= WAIT_UNSAID:
            free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
            total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
            self._say(lacking(self._plan, free=free, total=total) or "waiting for a worker to start")
            self._said_waiting = True

    def _say(self, text: str) -> None:
        self._arrived.append(Message("", 0, Notice(text)))

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _wait(self, seconds: float) -> list[Worker]:
        """The workers that have something to tell; waits for the first."""
        by_source = {one.source: one for one in self._workers if not one.free}
        if not by_source:
            time.sleep(seconds)
            return []
        ready, _ = ray.wait(list(by_source), num_returns=1, timeout=seconds)
        if ready and len(by_source) > 1:
            ready, _ = ray.wait(list(by_source), num_returns=len(by_source), timeout=0)
        return [by_source[source] for source in ready]

    def _receive(self, one: Worker) -> None:
        try:
            if one.pending is not None:
                one.hear(ray.get(one.pending, timeout=SLICE), patience=START_PATIENCE)
                return
            if one.reference is None:
                # Bounded, unlike next(): at the stream's end that waits for the worker, which may never answer.
                one.reference = one.stream._next_sync(timeout_s=SLICE)
            if one.reference.is_nil():
                one.reference = None
                return
            said = ray.get(one.reference, timeout=SLICE)
            one.reference = None
        except StopIteration:
            self._tell(one, None)
        except GetTimeoutError:
            return
        except RayTaskError as error:
            # Not from the task, whose exceptions are events, but from around it: say, an event that cannot be pickled.
            self._bury(one, "raised" if one.ready else "died", str(error))
        except RayError as error:
            cause, evidence = diagnose(str(error), killed=one.killed, kind=type(error))
            if cause == "died" and one.identity and not self._session.has_node(one.identity["node"]):
                cause, evidence = "node_lost", f"its node does not answer. {evidence}"
            self._bury(one, cause, evidence)
        else:
            for event in said:
                self._tell(one, event)

    def _tell(self, one: Worker, event: Event | None) -> None:
        if one.attempt is not None:
            self._arrived.append(one.attempt.says(event))
        if event is None or isinstance(event, Failed):
            one.attempt = one.stream = one.reference = None

    def _fail(self, one: Worker, cause: Cause, evidence: str) -> None:
        member = None if one.attempt is None else one.attempt.member
        self._tell(one, Failed(member, cause, evidence))

    def _bury(self, one: Worker, cause: Cause, evidence: str) -> None:
        """A worker is gone. Its task, or where it had not started the next in the queue, failed with it."""
        self._workers.remove(one)
        ray.kill(one.actor)
        if one.attempt is None and self._queue and not one.ready and cause != "node_lost":
            one.attempt = self._queue.popleft()
        self._fail(one, cause, f"{one}: {evidence}")


def _size(data: Dataset) -> int:
    """Bytes of all arrays."""
    return sum(array.nbytes for array in (data.x, data.y, data.train, data.valid, data.test))
