"""What thousands of members cost the coordinator: milliseconds a member, seconds of status and report, memory.

    python examples/benchmarks/coordinator_scale.py --run runs/scale [--members 10000] [--data digits]

A pool without workers hands the coordinator what workers would send, at once and for nothing, so that what is measured
is the coordinator: every event, every file, every commit is real. The time inside ``fsync`` is the disk's and is told
apart; so is the processor's time, which says the same on a machine that others use as well. ``status`` and ``report``
are whole commands, start of Python included, each in a process of its own. Memory is the greatest of the process,
without pages of files, which the kernel takes back when it wants them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import click
import numpy as np

from ensemble.config import make_config
from ensemble.data.dataset import Dataset
from ensemble.data.load import load_dataset
from ensemble.members.plan import MemberPlan, plan_members, resolve
from ensemble.members.resampling import unseen_rows
from ensemble.runs.coordinator import run_ensemble
from ensemble.runs.pool import Message
from ensemble.runs.store import RunStore
from ensemble.training.events import Event, Finished, Predictor, Progress, Said, Scored, Started
from ensemble.training.tasks import Score, Task

EPOCHS = 3
PARAMETERS = 1000
DIFFERENT = 97
"""Members whose predictions differ; those after them repeat these."""
PRINT = {"hardware": "simulated", "device": "cpu", "threads": 1, "precision": "float32"}


class InstantPool:
    """A `Pool` whose workers have always something to say: a poll brings a word of each."""

    workers = 8

    def __init__(self) -> None:
        self._queue: deque[tuple[Task, int]] = deque()
        self._running: list[tuple[Task, int, Iterator[Event]]] = []

    def share(self, data: Dataset) -> None:
        self._data = data
        self._said = made_up_predictions(data)

    def submit(self, task: Task, *, attempt: int) -> None:
        self._queue.append((task, attempt))

    def poll(self, timeout: float) -> list[Message]:
        while self._queue and len(self._running) < self.workers:
            task, attempt = self._queue.popleft()
            self._running.append((task, attempt, self._events(task)))
        found = [Message(task.key, attempt, next(events, None)) for task, attempt, events in self._running]
        self._running = [
            one for one, word in zip(self._running, found, strict=True) if word.event is not None
        ]
        return found

    def _events(self, task: Task) -> Iterator[Event]:
        if isinstance(task, Score):
            yield Scored(
                task.weights, {part: said[0] for part, said in self._said.items() if part in task.parts}
            )
            return
        for plan in task.plans:
            yield from self._trained(plan)

    def _trained(self, plan: MemberPlan) -> Iterator[Event]:
        yield Started(plan.index, "cpu", "simulated", 1, fingerprint=PRINT)
        history = [
            Progress(plan.index, epoch, EPOCHS, 1 / epoch, 0.9, 1 / epoch, 0.01, 1.0, 0.0, 0.1, 100)
            for epoch in range(1, EPOCHS + 1)
        ]
        yield from history
        unseen = unseen_rows(plan, self._data.train) if plan.resample == "bootstrap" else None
        said: Said = {part: some[plan.index % DIFFERENT] for part, some in self._said.items()}
        if unseen is not None and len(unseen):
            said["oob"] = np.resize(said["test"], (len(unseen), plan.outputs))
        weights = {"w": np.full(PARAMETERS, plan.index % DIFFERENT, np.float32)}
        yield Predictor(plan.index, "members", 0, weights, said)
        yield Finished(plan.index, tuple(history), 0.3, 0.01)

    def running(self) -> Collection[str]:
        return [task.key for task, _, _ in self._running]

    def cancel(self, key: str) -> None: ...

    def kill(self, key: str) -> None: ...

    def waiting(self) -> str | None:
        return None

    def describe(self) -> dict[str, Any]:
        return {"pool": "instant", "workers": self.workers}

    def close(self) -> None: ...


def made_up_predictions(data: Dataset) -> dict[str, Any]:
    """``(DIFFERENT, rows, classes)`` probabilities a part, right more often than not."""
    random = np.random.default_rng(0)
    found = {}
    for part in ("valid", "test"):
        y = data.y[data.rows(part)]
        logits = random.normal(size=(DIFFERENT, len(y), len(data.spec.classes)))
        logits[:, np.arange(len(y)), y] += 3
        p = np.exp(logits)
        found[part] = (p / p.sum(axis=2, keepdims=True)).astype(np.float32)
    return {part: said for part, said in found.items() if said.shape[1]}


@contextmanager
def timed_syncs() -> Iterator[list[float]]:
    """Seconds of each ``fsync`` while the block runs."""
    spent: list[float] = []
    real = os.fsync

    def sync(descriptor: int) -> None:
        begun = time.perf_counter()
        real(descriptor)
        spent.append(time.perf_counter() - begun)

    with mock.patch.object(os, "fsync", sync):
        yield spent


def train(run: Path, *, data: str, members: int, resample: str) -> dict[str, float]:
    """The whole of a run but for its workers, and what it cost."""
    asked = make_config({"data": data, "members": members, "resample": resample, "pool": "serial"})
    rows = load_dataset(asked.data, seed=0)
    config = resolve(asked, rows.spec)
    store = RunStore.create(run, rows, config=config, functions={}, parameters=PARAMETERS, versions={})
    assert len(plan_members(config, rows.spec)) == members
    pool, finished, begun, worked = InstantPool(), [], time.perf_counter(), time.process_time()

    def observe(message: Message) -> None:
        if isinstance(message.event, Finished):
            finished.append(time.perf_counter() - begun)

    with store.hold(), timed_syncs() as syncs, greatest_memory() as memory:
        run_ensemble(store, rows, pool, observe, config.execution)
        wall, worked = time.perf_counter() - begun, time.process_time() - worked
    per_member = 1000 / members
    return {
        "ms_a_member_besides_fsync": (wall - sum(syncs)) * per_member,
        "ms_a_member_until_the_last_is_trained": (finished[-1] - sum(syncs)) * per_member,
        "cpu_ms_a_member": worked * per_member,
        "fsyncs_a_member": len(syncs) / members,
        "ms_of_fsync_a_member": sum(syncs) * per_member,
        "greatest_memory_mb": memory[-1],
    }


@contextmanager
def greatest_memory() -> Iterator[list[float]]:
    """The greatest private memory of this process while the block runs, in MB, above what it was before."""
    found, over = [0.0], threading.Event()
    before = private_memory(os.getpid())

    def watch() -> None:
        while not over.wait(0.02):
            found[0] = max(found[0], private_memory(os.getpid()) - before)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()


def private_memory(process: int) -> float:
    """Resident megabytes that are of no file; 0 where the process is over, or the system is not Linux."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


def command(*arguments: str) -> dict[str, float]:
    """Seconds and memory of one ``ensemble`` command in a process of its own."""
    begun, memory = time.perf_counter(), 0.0
    process = subprocess.Popen(
        [sys.executable, "-m", "ensemble.cli.main", *arguments],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    while process.poll() is None:
        memory = max(memory, private_memory(process.pid))
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"ensemble {' '.join(arguments)} ended with {process.returncode}")
    return {"seconds": time.perf_counter() - begun, "greatest_memory_mb": memory}


@click.command()
@click.option(
    "--run", type=click.Path(path_type=Path), required=True, help="A run directory, made if absent."
)
@click.option("--members", default=10_000, show_default=True)
@click.option("--data", default="digits", show_default=True)
@click.option("--resample", default="none", show_default=True)
@click.option("--repeat", default=3, show_default=True, help="Of status and report; the median is told.")
def main(run: Path, members: int, data: str, resample: str, repeat: int) -> None:
    found: dict[str, Any] = {"members": members, "data": data, "resample": resample}
    if not run.exists():
        found["train"] = train(run, data=data, members=members, resample=resample)
    for name in ("status", "report"):
        runs = sorted((command(name, str(run)) for _ in range(repeat)), key=lambda one: one["seconds"])
        found[name] = runs[len(runs) // 2]
    found["report_json_mb"] = (run / "report.json").stat().st_size / 1e6
    found["report_html_mb"] = (run / "report.html").stat().st_size / 1e6
    click.echo(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
