"""A pool, a clock and a disk that fail by a seed, under the real coordinator and the real store.

Training is a recurrence over a few integers: a step that is lost or done twice changes every bit after it.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.config import RunConfig
from ensemble.data.dataset import Dataset
from ensemble.errors import ClusterLostError, DiskError
from ensemble.members.plan import MemberPlan, plan_members
from ensemble.runs import atomic
from ensemble.runs.checkpoints import Checkpoints
from ensemble.runs.coordinator import train_members
from ensemble.runs.pool import Message
from ensemble.runs.silence import AttentivePool
from ensemble.runs.store import RunStore
from ensemble.training.events import (
    Checkpoint,
    Event,
    Failed,
    Finished,
    Predictor,
    Progress,
    Started,
    TrainState,
)
from ensemble.training.tasks import Task, Train
from tests.faults.broken_os import BrokenOs, Crash
from tests.scenarios import blobs, config_for

EPOCHS, STEPS = 3, 5
MULTIPLIER = np.uint64(6364136223846793005)
SILENCE = 8.0
LONGEST_PAUSE = 5.0
"""A worker that is well never pauses longer; a hung one says nothing any more. The rest of `SILENCE` is for words after
the pause that are lost."""

DATA = blobs(rows=30)
CONFIG: RunConfig = config_for(DATA, members=3, snapshots=2, epochs=EPOCHS, silence=SILENCE, retries=10**6)
PLANS: tuple[MemberPlan, ...] = plan_members(CONFIG, DATA.spec)
PRINT = {"hardware": "simulated"}


def fake_training(plans: Sequence[MemberPlan], state: TrainState | None) -> Iterator[Event]:
    """What a worker tells of members trained together; a checkpoint after every step, of which some come through."""
    start = [np.full(4, plan.index + 1, np.uint64) for plan in plans]
    ws = start if state is None else [state.arrays[plan.name].copy() for plan in plans]
    step = 0 if state is None else state.step
    kept = {} if state is None else state.values["histories"]
    histories = [[Progress(**line) for line in kept.get(plan.name, [])] for plan in plans]
    for plan in plans:
        yield Started(plan.index, "cpu", "simulated", 1, resumed_epoch=len(histories[0]), fingerprint=PRINT)
    while len(histories[0]) < EPOCHS:
        while step < STEPS * (len(histories[0]) + 1):
            step += 1
            ws = [w * MULTIPLIER + np.arange(step, step + 4, dtype=np.uint64) for w in ws]
            if step in (6, 12):
                for plan, w in zip(plans, ws, strict=True):
                    yield predictor(plan, w, "snapshots", step // 6 - 1)
            lines = [[asdict(progress) for progress in history] for history in histories]
            values = {"histories": dict(zip([plan.name for plan in plans], lines, strict=True))}
            arrays = {plan.name: w.copy() for plan, w in zip(plans, ws, strict=True)}
            yield Checkpoint(plans[0].index, TrainState(len(histories[0]), step, arrays, values))
        for plan, w, history in zip(plans, ws, histories, strict=True):
            loss = float(w[0] % np.uint64(1000))
            history.append(
                Progress(plan.index, len(history) + 1, EPOCHS, loss, None, None, 0.1, 1.0, 0.0, 0.1, 18)
            )
            yield history[-1]
    for plan, w, history in zip(plans, ws, histories, strict=True):
        yield predictor(plan, w, "members", 0)
        yield Finished(plan.index, tuple(history), 0.1, 0.1)


def predictor(plan: MemberPlan, w: Any, origin: Any, index: int) -> Predictor:
    said = {
        part: np.resize((w % np.uint64(97)).astype(np.float32), (len(DATA.rows(part)), 3))
        for part in ("valid", "test")
    }
    return Predictor(plan.index, origin, index, {"w": w.copy()}, said)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Odds:
    """Chances at each event of a worker."""

    dies: float = 0.0
    hangs: float = 0.0
    lost: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    pauses: float = 0.0
    cluster_lost: float = 0.0
    coordinator_pauses: float = 0.0


@dataclass
class Worker:
    task: Task
    attempt: int
    events: Iterator[Event]
    silent_until: float = 0.0
    kept: list[Message] = field(default_factory=list)
    """Held back until the attempt is over: late words."""


class SimulatedPool:
    """A `Pool` of workers that die, hang, stammer and are heard late, by a seed; all time is the clock's."""

    def __init__(self, clock: Clock, chance: random.Random, odds: Odds, ledger: Ledger) -> None:
        self.workers = 2
        self._clock, self._chance, self._odds, self._ledger = clock, chance, odds, ledger
        self._waiting: list[tuple[Task, int]] = []
        self._running: list[Worker] = []
        self._late: list[Message] = []

    def share(self, data: Dataset) -> None: ...

    def submit(self, task: Task, *, attempt: int) -> None:
        assert isinstance(task, Train)
        self._ledger.check_start(task)
        self._waiting.append((task, attempt))

    def running(self) -> list[str]:
        return [worker.task.key for worker in self._running]

    def poll(self, timeout: float) -> list[Message]:
        if self._happens("cluster_lost"):
            raise ClusterLostError("simulated")
        while self._waiting and len(self._running) < self.workers:
            task, attempt = self._waiting.pop(0)
            assert isinstance(task, Train)
            self._running.append(Worker(task, attempt, fake_training(task.plans, task.state)))
        messages: list[Message] = []
        if self._late and self._chance.random() < 0.3:
            messages += self._late
            self._late = []
        for worker in list(self._running):
            if worker.silent_until <= self._clock.now:
                messages += self._listen(worker)
        self._clock.now += self._chance.uniform(0.0, 0.1) if messages else timeout
        return messages

    def _listen(self, worker: Worker) -> list[Message]:
        event = next(worker.events, None)
        while isinstance(event, Checkpoint) and self._chance.random() < 0.6:
            event = next(worker.events, None)  # as if no checkpoint had been due
        message = Message(worker.task.key, worker.attempt, event)
        if event is None:
            return self._end(worker, message)
        if self._happens("dies"):
            return self._end(worker, self._failed(worker, "died"))
        if self._happens("hangs"):
            worker.silent_until = float("inf")
        if self._happens("late"):
            self._ledger.torn |= isinstance(event, Predictor)
            worker.kept.append(message)
            return []
        if self._happens("lost"):
            self._ledger.torn |= isinstance(event, Predictor)
            return []
        if worker.silent_until < self._clock.now and self._happens("pauses"):
            # Only behind a word that is heard: two pauses with a lost word between would be as long as a hang.
            worker.silent_until = self._clock.now + self._chance.uniform(0, LONGEST_PAUSE)
        return [message, message] if self._happens("twice") else [message]

    def kill(self, key: str) -> None:
        for worker in [worker for worker in self._running if worker.task.key == key]:
            assert worker.silent_until == float("inf"), "a worker that was well was taken for hung"
            self._ledger.hangs_ended += 1
            self._late += self._end(worker, self._failed(worker, "hung"))

    def cancel(self, key: str) -> None:
        for worker in [worker for worker in self._running if worker.task.key == key]:
            self._late += self._end(worker, self._failed(worker, "cancelled"))

    def _end(self, worker: Worker, last: Message) -> list[Message]:
        self._running.remove(worker)
        self._late += worker.kept
        return [last]

    def _failed(self, worker: Worker, cause: Any) -> Message:
        assert isinstance(worker.task, Train)
        plans = worker.task.plans
        member = plans[0].index if len(plans) == 1 else None
        return Message(worker.task.key, worker.attempt, Failed(member, cause, "simulated"))

    def _happens(self, what: str) -> bool:
        happens = self._ledger.budget > 0 and self._chance.random() < getattr(self._odds, what)
        if happens:
            self._ledger.faults[what] += 1
            self._ledger.budget -= 1
        return happens

    def describe(self) -> dict[str, Any]:
        return {"pool": "simulated", "workers": self.workers}

    def close(self) -> None: ...


@dataclass
class Ledger:
    """What was acknowledged, and what was done to the run; checked as it goes."""

    budget: int
    """Faults still to come; then the run is left in peace, so that it ends."""
    faults: Counter[str] = field(default_factory=Counter)
    sessions: int = 0
    hangs_ended: int = 0
    damaged: bool = False
    torn: bool = False
    """A predictor never arrived, so checkpoints after it are no good."""
    acknowledged: dict[str, int] = field(default_factory=dict)
    """Step of the newest checkpoint whose commit returned, by the directory of the member or the stack."""
    committed: Counter[int] = field(default_factory=Counter)

    def check_start(self, task: Train) -> None:
        if self.damaged:
            return
        left = [plan.name for plan in task.plans if not self.committed[plan.index]]
        assert left, f"{task.key} was done, and is trained again"
        if self.torn:
            return
        step = 0 if task.state is None else task.state.step
        names = sorted({task.plans[0].name, task.plans[-1].name})
        assert step >= self.acknowledged.get("-".join(names), 0), f"{task.key} lost acknowledged steps"


def run_schedule(root: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """One run under a schedule of faults drawn from ``seed``, taken up again until it is done.

    Raises:
        AssertionError: something acknowledged was lost, done twice, or left behind.
    """
    chance = random.Random(seed)
    ledger = Ledger(budget=chance.randint(1, 25))
    store = make_store(root, stack=chance.choice([1, 2, 3]))
    damages = chance.random() < 0.25
    while not run_session(store.root, chance, ledger, monkeypatch):
        if damages and chance.random() < 0.5:
            damage(store.root, chance, ledger)
    check_end(store.root, ledger)
    return ledger


def make_store(root: Path, *, stack: int = 1) -> RunStore:
    """A run of three members; in stacks of two, the last is left alone."""
    execution = CONFIG.execution.model_copy(update={"stack": stack})
    config = CONFIG.model_copy(update={"execution": execution})
    return RunStore.create(root, DATA, config=config, functions={}, parameters=4, versions={})


def train_alone(store: RunStore) -> None:
    """Train the first member and no other, in peace."""
    clock = Clock()
    pool = SimulatedPool(clock, random.Random(1), Odds(), Ledger(budget=0, damaged=True))
    with store.hold():
        train_members(PLANS[:1], store, DATA, pool, lambda message: None, CONFIG.execution, clock=clock)


def run_session(root: Path, chance: random.Random, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> bool:
    """One coordinator from its start to its end or death; True where it came to the end."""
    ledger.sessions += 1
    quiet = ledger.budget <= 0
    odds = Odds() if quiet else draw_odds(chance)
    fate = "none" if quiet else chance.choice(["none", "crash", "crash", "disk full", "failed sync"])
    at = chance.randint(1, 300)
    disk = BrokenOs(
        crash_at=at if fate == "crash" else None,
        fail_at=at if fate in ("disk full", "failed sync") else None,
        error=28 if fate == "disk full" else 5,
    )
    clock = Clock()
    pool = SimulatedPool(clock, chance, odds, ledger)

    def observe(message: Message) -> None:
        if pool._happens("coordinator_pauses"):
            clock.now += 1000.0

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "os", disk)
        note_acknowledged(patch, ledger)
        try:
            store = RunStore.open(root)
            with store.hold():
                attentive = AttentivePool(pool, least=SILENCE, clock=clock)
                train_members(store.plans, store, DATA, attentive, observe, CONFIG.execution, clock=clock)
        except (Crash, DiskError, ClusterLostError) as stopped:
            ledger.faults[type(stopped).__name__] += 1
            ledger.budget -= 1
            return False
        finally:
            for path in disk.renamed:
                if path.name == "member.json":
                    ledger.committed[int(path.parent.name)] += 1
    return True


def draw_odds(chance: random.Random) -> Odds:
    return Odds(
        dies=chance.choice([0.0, 0.05, 0.2]),
        hangs=chance.choice([0.0, 0.05]),
        lost=chance.choice([0.0, 0.05]),
        twice=chance.choice([0.0, 0.2]),
        late=chance.choice([0.0, 0.1]),
        pauses=chance.choice([0.0, 0.1]),
        cluster_lost=chance.choice([0.0, 0.01]),
        coordinator_pauses=chance.choice([0.0, 0.02]),
    )


def note_acknowledged(patch: pytest.MonkeyPatch, ledger: Ledger) -> None:
    real = Checkpoints.save

    def save(self: Checkpoints, state: TrainState, *args: Any) -> None:
        real(self, state, *args)
        name = self.directory.name
        ledger.acknowledged[name] = max(ledger.acknowledged.get(name, 0), state.step)

    patch.setattr(Checkpoints, "save", save)


def damage(root: Path, chance: random.Random, ledger: Ledger) -> None:
    """Spoil one file of a member: cut it short, or turn a bit."""
    files = [
        path
        for kind in ("members", "stacks")
        for path in sorted(root.glob(f"{kind}/*/**/*"))
        if path.is_file()
    ]
    if not files:
        return
    path = chance.choice(files)
    content = bytearray(path.read_bytes())
    if content and chance.random() < 0.5:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    else:
        content = content[: chance.choice([0, 1, len(content) // 2, max(0, len(content) - 1)])]
    path.write_bytes(content)
    ledger.damaged = True
    ledger.faults["damage"] += 1


def check_end(root: Path, ledger: Ledger) -> None:
    """Everything is there, bit for bit as undisturbed, once, and nothing else."""
    store = RunStore.open(root)
    assert digests(root) == undisturbed()
    for plan in PLANS:
        record = store.member(plan.index)
        assert record is not None
        store.check_digests(record)
        assert not record.mixed
        assert ledger.damaged or ledger.committed[plan.index] == 1
    assert not list(root.rglob(f"*{atomic.TEMPORARY}"))
    assert not list(root.glob("members/00?/checkpoint-*"))
    assert not list(root.glob("stacks/*/checkpoint-*[!d]"))
    assert store.holder() is None
    assert (root / "lock").read_bytes() == b""


def digests(root: Path) -> dict[str, str]:
    """SHA-256 of everything that training made, by name."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.glob("members/00?/**/*"))
        if path.suffix == ".safetensors" or path.name == "history.jsonl"
    }


def undisturbed(plans: tuple[MemberPlan, ...] = PLANS) -> dict[str, str]:
    """The same, computed without a coordinator."""
    found: dict[str, str] = {}
    for plan in plans:
        for event in fake_training((plan,), None):
            if isinstance(event, Predictor):
                stem = "" if event.origin == "members" else f"{event.origin}/{event.index:02d}."
                names = ("weights.", "predictions.") if not stem else (stem, f"{stem}predictions.")
                for name, tensors in zip(names, (event.weights, event.predictions), strict=True):
                    assert tensors is not None
                    content = atomic.tensors_to_bytes(dict(sorted(tensors.items())))
                    path = f"members/{plan.name}/{name}safetensors"
                    found[path] = hashlib.sha256(content).hexdigest()
            elif isinstance(event, Finished):
                lines = b"".join(atomic.json_line(asdict(progress)) + b"\n" for progress in event.history)
                found[f"members/{plan.name}/history.jsonl"] = hashlib.sha256(lines).hexdigest()
    return found
