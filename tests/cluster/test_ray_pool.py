"""A pool of Ray actors: what tasks tell, in order; what is said of those that die, hang or are stopped."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import ray

from cluster import ray_pool
from cluster.ray_pool import RayPool
from cluster.resources import WorkerPlan
from cluster.session import Session, start
from ensemble.config import ExecutionConfig
from ensemble.data.dataset import Dataset
from ensemble.members.plan import plan_members
from ensemble.runs.pool import Message
from ensemble.training.events import Event, Failed, Notice, Predictor, Progress, Scored, Started
from ensemble.training.tasks import Train, run_task
from tests.cluster.scripts import Act, perform
from tests.scenarios import blobs, config_for, events_of

pytestmark = pytest.mark.ray
DATA = blobs()
PLAN = WorkerPlan(workers=2, num_cpus=1, num_gpus=0, threads=1)
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    opened = start(ExecutionConfig(), worker_environment=ENVIRONMENT)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pool(session: Session) -> RayPool:
    opened = RayPool(session, PLAN, worker_environment=ENVIRONMENT, run=perform)
    opened.share(DATA)
    opened.poll(0.0)  # what is said of this machine, if anything
    return opened


Until = Callable[[list[Message]], bool]


def collect(pool: RayPool, until: Until, *, within: float = 60.0) -> list[Message]:
    messages: list[Message] = []
    deadline = time.monotonic() + within
    while not until(messages):
        assert time.monotonic() < deadline, messages
        messages += pool.poll(0.5)
    return messages


def closed(*names: str) -> Until:
    """Every one of these tasks has ended."""
    keys = {f"act/{name}" for name in names}
    return lambda seen: keys <= {m.key for m in seen if m.event is None or isinstance(m.event, Failed)}


def said(event: type) -> Until:
    return lambda seen: any(isinstance(message.event, event) for message in seen)


def do(pool: RayPool, act: str, *, name: str = "a") -> list[Message]:
    pool.submit(Act(name, act), attempt=1)
    return collect(pool, closed(name))


def failure(messages: list[Message]) -> Failed:
    (failed,) = [message.event for message in messages if isinstance(message.event, Failed)]
    assert messages[-1].event is failed, "a failure is the last word"
    return failed


def pid_of(messages: list[Message]) -> int:
    return next(message.event.pid for message in messages if isinstance(message.event, Started))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool], *, within: float = 5.0) -> bool:
    deadline = time.monotonic() + within
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def occupy(pool: RayPool) -> dict[str, int]:
    """Keep both workers at work, on ``p`` and ``q``; returns their pids by task."""
    for name in "pq":
        pool.submit(Act(name, "linger"), attempt=1)
    seen = collect(pool, lambda seen: sum(isinstance(m.event, Started) for m in seen) == 2)
    assert set(pool.running()) == {"act/p", "act/q"}
    return {m.key: m.event.pid for m in seen if isinstance(m.event, Started)}


def release(pool: RayPool) -> None:
    names = [key.removeprefix("act/") for key in pool.running()]
    for name in names:
        pool.cancel(f"act/{name}")
    collect(pool, closed(*names))


def test_a_task_before_the_data_is_refused(session: Session) -> None:
    empty = RayPool(session, WorkerPlan(0, 1, 0, 1), worker_environment=ENVIRONMENT)
    with pytest.raises(RuntimeError, match="share"):
        empty.submit(Act("early", "count"), attempt=1)


def test_events_come_in_order_and_the_stream_closes(pool: RayPool) -> None:
    pool.submit(Act("a", "count"), attempt=3)
    messages = collect(pool, closed("a"))
    assert {(message.key, message.attempt) for message in messages} == {("act/a", 3)}
    assert [m.event.epoch for m in messages if isinstance(m.event, Progress)] == [1, 2, 3, 4, 5]
    assert isinstance(messages[0].event, Started)
    assert messages[-1].event is None


def test_two_workers_run_two_tasks_at_once_and_a_third_waits(pool: RayPool) -> None:
    pids = occupy(pool)
    assert pids["act/p"] != pids["act/q"]
    pool.submit(Act("a", "count"), attempt=1)
    assert "act/a" not in {message.key for message in pool.poll(0.3)}
    pool.cancel("act/p")
    assert pid_of([m for m in collect(pool, closed("a")) if m.key == "act/a"]) == pids["act/p"]
    release(pool)


def test_the_data_is_shared_and_read_only_and_sent_once(pool: RayPool) -> None:
    sent = dict(pool._sent)
    for _ in range(2):
        (seen,) = [m.event for m in do(pool, "look") if isinstance(m.event, Scored)]
        np.testing.assert_array_equal(seen.predictions["x"], DATA.x)
        assert not seen.predictions["writeable"].any()
        assert all("plasma" in name for name in seen.predictions["shared"]), seen.predictions["shared"]
    assert pool._sent == sent


def test_torch_has_the_threads_that_were_asked_for_and_no_gpu(pool: RayPool) -> None:
    (seen,) = [m.event for m in do(pool, "look") if isinstance(m.event, Scored)]
    assert seen.predictions["threads"].tolist() == [1, 1]
    assert seen.predictions["gpus"].tolist() == [0]


def test_a_worker_does_not_run_far_ahead(pool: RayPool) -> None:
    pool.submit(Act("a", "race_ahead"), attempt=1)
    collect(pool, said(Scored))
    time.sleep(1.0)
    resumed = time.time()
    times = [m.event.predictions["at"][1] for m in collect(pool, closed("a")) if isinstance(m.event, Scored)]
    assert sum(moment < resumed for moment in times) <= ray_pool.MOST_MESSAGES + ray_pool.EVENTS_AHEAD + 1


def test_an_exception_is_a_failure_with_its_traceback(pool: RayPool) -> None:
    failed = failure(do(pool, "raise"))
    assert failed.cause == "raised"
    assert failed.evidence.endswith("ValueError: no such luck\n")
    assert "scripts.py" in failed.evidence


def test_running_out_of_memory_is_told_from_other_exceptions(pool: RayPool) -> None:
    assert failure(do(pool, "exhaust")).cause == "out_of_memory"


def test_what_cannot_travel_is_a_failure_too(pool: RayPool) -> None:
    failed = failure(do(pool, "unpicklable"))
    assert failed.cause == "raised"
    assert "generator" in failed.evidence


def test_a_worker_that_dies_is_told_and_replaced(pool: RayPool) -> None:
    messages = do(pool, "exit")
    failed, pid = failure(messages), pid_of(messages)
    assert failed.cause == "died"
    assert f"pid {pid} on " in failed.evidence
    assert len({*occupy(pool).values()} - {pid}) == 2
    release(pool)


def test_a_failure_names_its_member(session: Session, pool: RayPool) -> None:
    plans = plan_members(config_for(DATA, members=3), DATA.spec)
    pool.submit(Train((plans[2],)), attempt=1)  # not an Act: the script fails on it
    messages = collect(pool, lambda seen: any(isinstance(m.event, Failed) for m in seen))
    assert messages[-1].key == "train/002"
    assert failure(messages).member == 2


def test_a_cancelled_worker_stays_warm(pool: RayPool) -> None:
    pool.submit(Act("a", "linger"), attempt=1)
    pid = pid_of(collect(pool, said(Progress)))
    pool.cancel("act/a")
    assert failure(collect(pool, closed("a"))).cause == "cancelled"
    assert pid in occupy(pool).values()
    release(pool)


def test_a_task_that_waits_is_dropped(pool: RayPool) -> None:
    occupy(pool)
    pool.submit(Act("a", "count"), attempt=1)
    pool.cancel("act/a")
    assert failure([m for m in collect(pool, closed("a")) if m.key == "act/a"]).cause == "cancelled"
    release(pool)


def test_a_stopped_worker_is_killed(pool: RayPool) -> None:
    pool.submit(Act("a", "linger"), attempt=1)
    pid = pid_of(collect(pool, said(Progress)))
    os.kill(pid, signal.SIGSTOP)
    pool.kill("act/a")
    failed = failure(collect(pool, closed("a")))
    assert failed.cause == "hung"
    assert wait_until(lambda: not alive(pid)), "a stopped worker outlived its kill"
    assert do(pool, "count")[-1].event is None


def test_a_cancelled_worker_that_does_not_come_back_is_killed(
    pool: RayPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "CANCEL_GRACE", 0.3)
    pool.submit(Act("a", "linger"), attempt=1)
    pid = pid_of(collect(pool, said(Progress)))
    os.kill(pid, signal.SIGSTOP)
    pool.cancel("act/a")
    assert failure(collect(pool, closed("a"))).cause == "cancelled"
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        pool.poll(0.1)
    assert not alive(pid)


def test_what_it_is_and_what_it_waits_for(
    session: Session, pool: RayPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "WAIT_UNSAID", 0.5)
    monkeypatch.setattr(ray_pool, "LOOK_EVERY", 0.3)
    do(pool, "count")
    said = pool.describe()
    assert (said["pool"], said["workers"], said["nodes"], said["address"]) == ("ray", 2, 1, "private")
    assert said["ray"] == ray.__version__
    occupy(pool)
    total = session.nodes[0].cpus
    others = WorkerPlan(workers=1, num_cpus=total, num_gpus=0, threads=1)
    starved = RayPool(session, others, worker_environment=ENVIRONMENT, run=perform)
    starved.share(DATA)
    starved.submit(Act("a", "count"), attempt=1)
    (message,) = collect(starved, lambda seen: bool(seen))
    assert message == Message("", 0, Notice(f"waiting for {total:g} CPU: 2 of {total:g} in use"))
    monkeypatch.setattr(ray_pool, "LOOK_EVERY", 0.1)
    assert not any(
        isinstance(m.event, Notice) for m in [*starved.poll(0.5), *starved.poll(0.5), *pool.poll(0.5)]
    )
    ray.kill(starved._workers[0].actor)
    release(pool)


def test_a_worker_that_cannot_start_fails_the_task_that_waits_for_it(session: Session) -> None:
    # The pool's own two workers may hold every CPU, so this one asks for none.
    broken = RayPool(session, WorkerPlan(1, 0, 0, threads=-1), worker_environment=ENVIRONMENT, run=perform)
    broken.share(DATA)
    broken.submit(Act("a", "count"), attempt=1)
    failed = failure(collect(broken, closed("a")))
    assert failed.cause == "died"
    assert "threads" in failed.evidence


@dataclass(frozen=True)
class StuckAtFirst:
    """What a worker is to run; the first one to unpack it stays there, as on a file system that hangs."""

    marker: Path

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.__dict__.update(state)
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGSTOP)

    def __call__(self, task: Act, data: Dataset) -> Iterator[tuple[Event, ...]]:
        return perform(task, data)


def test_a_worker_that_hangs_before_its_first_task_is_replaced(session: Session, tmp_path: Path) -> None:
    """Without its bound the task waits for ever."""
    plan, run = WorkerPlan(1, 0, 0, threads=1), StuckAtFirst(tmp_path / "marker")
    stuck = RayPool(session, plan, worker_environment=ENVIRONMENT, run=run)
    stuck.share(DATA)
    stuck.submit(Act("a", "count"), attempt=1)
    while not run.marker.exists():
        assert stuck.poll(0.2) == []
    (one,) = stuck._workers
    assert one.answer_by is not None
    assert 0 < one.answer_by - time.monotonic() <= ray_pool.START_PATIENCE
    one.answer_by = time.monotonic()  # it is late
    failed = failure(collect(stuck, closed("a")))
    assert failed.cause == "hung"
    pid = int(re.search(r"worker pid (\d+) on .*did not get ready within 120 s", failed.evidence)[1])
    assert wait_until(lambda: not alive(pid))
    stuck.submit(Act("a", "count"), attempt=2)
    assert collect(stuck, closed("a"))[-1].event is None
    ray.kill(stuck._workers[0].actor)


def test_members_train_here_as_in_this_process(session: Session) -> None:
    real = RayPool(session, WorkerPlan(1, 0, 0, threads=1), worker_environment=ENVIRONMENT)
    real.share(DATA)
    (plan,) = plan_members(config_for(DATA, members=1, epochs=2), DATA.spec)
    real.submit(Train((plan,)), attempt=1)
    messages = collect(real, lambda seen: bool(seen) and seen[-1].event is None)
    (there,) = [m.event for m in messages if isinstance(m.event, Predictor)]
    (here,) = [event for event in events_of(run_task(Train((plan,)), DATA)) if isinstance(event, Predictor)]
    np.testing.assert_array_equal(there.predictions["test"], here.predictions["test"])
