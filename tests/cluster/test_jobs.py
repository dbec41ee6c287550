"""A command as a Ray job: the line for the shell, the log that comes back, the exit code; and the whole on Ray."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster import jobs
from cluster.dashboard import RefusedError, SilentError
from cluster.driver import RESULTS
from cluster.jobs import Job, JobState, Log, command_line, exit_code, read_state, start_job
from cluster.packing import Package
from ensemble.errors import ClusterLostError, EnsembleError, UsageError
from ensemble.runs.store import RunStore
from tests.cluster.dashboard_head import Cluster, started_head

# -- the line --


@settings(max_examples=40)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5))
def test_the_shell_sees_words_whatever_is_in_them(arguments: list[str]) -> None:
    """Seen to fail, running what is in them, without the quoting."""
    line = command_line(["train", *arguments], new_run="first").removeprefix("exec python3 ")
    program = f"{shlex.quote(sys.executable)} -c 'import json, sys; print(json.dumps(sys.argv[1:]))' {line}"
    done = subprocess.run(
        ["sh", "-c", program], env={"HOME": "/ho me"}, capture_output=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == [
        "cluster/driver.py",
        "train",
        *arguments,
        "--run",
        "/ho me/ensemble-runs/first",
    ]


# -- the exit code --


@pytest.mark.parametrize(
    ("status", "code", "error", "expected"),
    [
        ("SUCCEEDED", 0, "", 0),
        ("FAILED", 2, "JOB_ENTRYPOINT_COMMAND_ERROR", 2),
        ("FAILED", 3, "JOB_ENTRYPOINT_COMMAND_ERROR", 3),
        ("FAILED", 5, "JOB_ENTRYPOINT_COMMAND_ERROR", 5),
        ("FAILED", -9, "JOB_ENTRYPOINT_COMMAND_ERROR", 137),
        ("FAILED", None, "JOB_SUPERVISOR_ACTOR_DIED", 5),
        ("FAILED", None, "RUNTIME_ENV_SETUP_FAILURE", 1),
        ("STOPPED", None, "", 143),
        ("STOPPED", 0, "", 143),
    ],
)
def test_the_exit_code_is_the_commands_own(status: str, code: int | None, error: str, expected: int) -> None:
    assert exit_code(JobState(status, code, error, "")) == expected


@pytest.mark.parametrize(
    "answer", ["busy", [], {}, {"driver_exit_code": None}, {"status": "x", "driver_exit_code": "y"}]
)
def test_an_answer_that_makes_no_sense(answer: Any) -> None:
    with pytest.raises(SilentError, match="makes no sense"):
        read_state(answer)


# -- the log --


@given(st.text("ab\n", max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_a_log_is_handed_on_by_lines_each_once(text: str, cuts: list[int]) -> None:
    told: list[str] = []
    log = Log(told.append, told.append)
    for cut in sorted(cuts):
        log.show(text[:cut], ended=False)
    log.show(text, ended=True)
    assert told == text.splitlines()


def test_results_are_told_from_the_rest() -> None:
    told: list[str] = []
    results: list[str] = []
    log = Log(told.append, results.append)
    log.show(f"member 000 done\n{RESULTS}\naccu", ended=False)
    log.show(f"member 000 done\n{RESULTS}\naccuracy 0.9\nbye", ended=True)
    assert (told, results) == (["member 000 done"], ["accuracy 0.9", "bye"])


@dataclass
class Told:
    """A dashboard that answers by a script: one answer a request, the last for ever."""

    states: list[Any]
    log: str = ""
    url: str = "http://head:8265"
    asked: list[tuple[str, str]] = field(default_factory=list)

    def ask(self, method: str, path: str, **options: Any) -> Any:
        self.asked.append((method, path))
        if path.endswith("/logs"):
            return {"logs": self.log}
        answer = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def state(status: str, code: int | None = None, **more: Any) -> dict[str, Any]:
    return {"status": status, "driver_exit_code": code, **more}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def follow(told: Told) -> tuple[int, list[str], Clock]:
    lines, clock = list[str](), Clock()
    job = Job(told, "raysubmit_1")  # type: ignore[arg-type]
    code = job.follow(tell=lines.append, result=lines.append, clock=clock, sleep=clock.sleep)
    return code, lines, clock


def test_a_job_is_followed_to_its_end() -> None:
    told = Told([state("PENDING"), state("RUNNING"), state("FAILED", 4)], log="a\nb\n")
    code, lines, clock = follow(told)
    assert (code, lines) == (4, ["a", "b"])
    assert clock.now == 2 * jobs.POLL


def test_a_silence_that_ends_is_borne() -> None:
    """Also a head that is too busy to make sense."""
    away = [SilentError("no route"), RefusedError(500, "busy"), "nonsense"] * 5
    code, lines, _ = follow(Told([state("RUNNING"), *away, state("SUCCEEDED", 0)], log="a\n"))
    assert (code, lines) == (0, ["a"])


def test_a_silence_that_stays_ends_the_following() -> None:
    with pytest.raises(
        ClusterLostError, match=r"not answered for 60 s: no route. The job may go on; follow it again"
    ):
        follow(Told([state("RUNNING"), SilentError("no route")]))


def test_a_job_that_never_ran_says_why() -> None:
    message = "Failed to set up runtime environment"
    code, lines, _ = follow(Told([state("FAILED", error_type="RUNTIME_ENV_SETUP_FAILURE", message=message)]))
    assert code == 1
    assert lines == [f"the job failed: {message}"]


def test_a_job_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"there is no job 'raysubmit_1' at http://head:8265"):
        follow(Told([RefusedError(404, "no such job")]))


def test_stopping_waits_for_the_end() -> None:
    told = Told([state("RUNNING"), state("RUNNING"), state("STOPPED")])
    assert Job(told, "raysubmit_1").stop().status == "STOPPED"  # type: ignore[arg-type]
    assert ("POST", "/api/jobs/raysubmit_1/stop") in told.asked


def test_a_job_that_is_over_is_not_stopped() -> None:
    told = Told([state("SUCCEEDED", 0)])
    assert Job(told, "raysubmit_1").stop().status == "SUCCEEDED"  # type: ignore[arg-type]
    assert not [asked for asked in told.asked if asked[0] == "POST"]


def test_a_name_of_a_job_leads_nowhere_else() -> None:
    told = Told([state("RUNNING")])
    Job(told, "../../api/packages?x").state()  # type: ignore[arg-type]
    assert told.asked == [("GET", "/api/jobs/..%2F..%2Fapi%2Fpackages%3Fx")]


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (
            RefusedError(500, "No available agent"),
            EnsembleError,
            "refused the job: HTTP 500: No available agent",
        ),
        (
            SilentError("timed out"),
            ClusterLostError,
            "stopped answering while the job was submitted: timed out",
        ),
    ],
)
def test_a_job_that_is_not_taken(answer: Exception, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        start_job(Told([answer]), Package("_ray_pkg_0.zip", b""), "exec true")  # type: ignore[arg-type]


# -- the whole --


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with started_head() as head:
        yield head


def ensemble(cluster: Cluster, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ensemble.cli.main", "submit", "--address", cluster.url, *arguments]
    return subprocess.run(
        command, env=cluster.environment, cwd=cwd, capture_output=True, text=True, timeout=150
    )


@pytest.mark.ray
def test_a_job_trains_and_comes_home(cluster: Cluster, tmp_path: Path) -> None:
    """A user's own network, kept in a storage, over loopback with a token: exit code, table, run."""
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def small(shape, outputs):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))\n"
    )
    place = cluster.home / "kept"
    options = ("--data", "digits", "--net", "mine:small", "--members", "2", "--epochs", "2")
    done = ensemble(cluster, "--storage", str(place), "--", "train", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mean of 2 members" in done.stdout
    assert "member 001  done" in done.stderr
    assert f"{place} is up to date" in done.stderr
    assert "Run directory: " + str(cluster.home / "ensemble-runs") in done.stdout
    (run,) = (cluster.home / "ensemble-runs").iterdir()
    for store in (RunStore.open(run), RunStore.open(place)):
        for record in (store.member(0), store.member(1)):
            assert record is not None
            store.check_digests(record)
    assert (cluster.home / "token").read_text() not in done.stdout + done.stderr
    assert not list(cluster.home.glob("**/job-driver-*.log")) or all(
        (cluster.home / "token").read_text() not in path.read_text()
        for path in cluster.home.glob("r/session_2*/logs/job-driver-*.log")
    )


@pytest.mark.ray
@pytest.mark.chaos
def test_a_stopped_job_can_be_resumed(cluster: Cluster, tmp_path: Path) -> None:
    """Its driver is terminated in order: a follower ends with 143, and what was committed is in the storage."""
    place = cluster.home / "stopped"
    options = ("--data", "digits", "--members", "2", "--epochs", "100000", "--checkpoint-every", "0.5")
    started = ensemble(cluster, "--no-wait", "--storage", str(place), "--", "train", *options, cwd=tmp_path)
    assert started.returncode == 0, started.stderr
    job = started.stdout.strip()
    deadline = time.monotonic() + 90
    while not list(place.glob("members/*/checkpoint-*.json")) and time.monotonic() < deadline:
        time.sleep(0.2)
    stopped = ensemble(cluster, "--stop", job, cwd=tmp_path)
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout == f"job {job}: stopped\n"
    assert "stopped by SIGTERM; everything committed is safe" in stopped.stderr
    followed = ensemble(cluster, "--follow", job, cwd=tmp_path)
    assert followed.returncode == 143, followed.stderr
    store = RunStore.open(place)
    assert store.holder() is None
    assert any(store.checkpoints(plan).last() is not None for plan in plans_of(store))


def plans_of(store: RunStore) -> Any:
    from ensemble.members.plan import plan_members

    return plan_members(store.record.config, store.spec)


@pytest.mark.chaos
@pytest.mark.ray
def test_what_the_cluster_refuses_comes_home_with_its_code(cluster: Cluster, tmp_path: Path) -> None:
    done = ensemble(cluster, "--", "train", "--data", "/nowhere/people.csv", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "error: there is no file '/nowhere/people.csv'" in done.stderr
    assert done.stdout == ""
