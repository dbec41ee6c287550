"""A command as a Ray job: submitted, followed to its end and exit code, stopped.

The job's driver is the same command on the cluster's head, which joins the cluster as any other driver. It is followed
by asking for its log again and again, so nothing is lost when the network is away for a while.
"""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cluster.dashboard import Dashboard, RefusedError, SilentError
from cluster.driver import RESULTS
from cluster.packing import Package
from ensemble.errors import ClusterLostError, EnsembleError, UsageError

RUNS = "ensemble-runs"
"""In the home directory on the head: where a job's run directories are made. Its own working directory is removed."""
STOP_WAIT = 20
"""Seconds between SIGTERM and SIGKILL of a stopped job: Ray's own 3 are too few to bring a storage up to date."""
UPLOAD_PATIENCE = 60.0
POLL = 1.0
LOG_PAUSE = 10.0
"""A log comes whole each time, so the pause after it is this many times as long as it took."""
LOST_AFTER = 60.0
"""Seconds of a dashboard's silence after which it is not followed any further."""

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
LOST = (
    "JOB_SUPERVISOR_ACTOR_DIED",
    "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE",
    "JOB_SUPERVISOR_ACTOR_START_TIMEOUT",
)
"""Ray's words for a job whose node went away, or that never came to one."""
TERMINATED = 143


@dataclass(frozen=True)
class JobState:
    """What Ray tells of a job."""

    status: str
    exit_code: int | None
    """Of the driver; None while it runs, and where it was killed."""
    error: str
    message: str

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class Job:
    """A submitted job.

    Attributes:
        dashboard: Of its cluster.
        id: Ray's name for it.
    """

    def __init__(self, dashboard: Dashboard, job: str) -> None:
        self.dashboard = dashboard
        self.id = job
        self._path = f"/api/jobs/{quote(job, safe='')}"

    def follow(
        self,
        *,
        tell: Callable[[str], None],
        result: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> int:
        """Hand on the log, a line at a time, until the job is over; returns the exit code of its command.

        Args:
            tell: Called with each line that the command wrote to standard error, and before.
            result: Called with each line that it wrote to standard output.
            clock, sleep: In seconds.

        Raises:
            UsageError: there is no such job.
            ClusterLostError: the dashboard has been silent for too long; the job may go on.
        """
        log, state, due, heard = Log(tell, result), None, -math.inf, clock()
        while state is None or not state.ended:
            try:
                state = self.state()
                if state.ended or clock() >= due:
                    asked = clock()
                    log.show(self.log(), ended=state.ended)
                    due = clock() + LOG_PAUSE * (clock() - asked)
                heard = clock()
            except SilentError as silent:
                state = None
                if clock() - heard > LOST_AFTER:
                    raise ClusterLostError(
                        f"the dashboard at {self.dashboard.url} has not answered for {LOST_AFTER:.0f} s: {silent}. "
                        "The job may go on; follow it again with "
                        f"`ensemble submit --address {self.dashboard.url} --follow {self.id}`"
                    ) from None
            if state is None or not state.ended:
                sleep(POLL)
        if state.status == "FAILED" and state.exit_code is None:
            tell(f"the job failed: {state.message}")
        return exit_code(state)

    def stop(self) -> JobState:
        """Let the command be terminated, and wait until it is; returns the last state.

        A job that is over already is left as it is.

        Raises:
            UsageError: there is no such job.
            EnsembleError: it does not end.
            ClusterLostError: the dashboard does not answer.
        """
        deadline = time.monotonic() + STOP_WAIT + 10
        try:
            if not self.state().ended:
                self.dashboard.ask("POST", f"{self._path}/stop")
            while not (state := self.state()).ended:
                if time.monotonic() > deadline:
                    raise EnsembleError(f"job {self.id} was told to stop and still runs; look at it again")
                time.sleep(POLL / 2)
        except (SilentError, RefusedError) as error:
            raise ClusterLostError(
                f"the dashboard at {self.dashboard.url} could not stop job {self.id}: {error}; try again"
            ) from None
        return state

    def state(self) -> JobState:
        """What Ray tells of the job now.

        Raises:
            UsageError: there is no such job.
            SilentError: no answer, or none that makes sense: the head is busy or about to end.
        """
        try:
            return read_state(self.dashboard.ask("GET", self._path))
        except RefusedError as refused:
            if refused.status == 404:
                raise UsageError(
                    f"there is no job {self.id!r} at {self.dashboard.url}; "
                    f"`ray job list --address {self.dashboard.url}` shows them"
                ) from None
            raise SilentError(str(refused)) from None

    def log(self) -> str:
        """All that the command has written.

        Raises:
            SilentError: no answer, or none that makes sense.
        """
        try:
            return str(self.dashboard.ask("GET", f"{self._path}/logs")["logs"])
        except RefusedError as refused:
            raise SilentError(str(refused)) from None
        except (KeyError, TypeError):
            raise SilentError("a log that makes no sense") from None


def start_job(dashboard: Dashboard, package: Package, command: str) -> Job:
    """Upload a package and run a shell's line in it.

    Raises:
        EnsembleError: the cluster refused.
        ClusterLostError: it does not answer.
    """
    environment = {
        "working_dir": f"gcs://{package.name}",
        "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT)},
    }
    try:
        # The one call that Ray's documentation leaves to its own client.
        path = f"/api/packages/gcs/{package.name}"
        dashboard.ask("PUT", path, content=package.content, patience=UPLOAD_PATIENCE)
        document = {"entrypoint": command, "runtime_env": environment}
        answer = dashboard.ask("POST", "/api/jobs/", document=document, patience=UPLOAD_PATIENCE)
    except RefusedError as refused:
        raise EnsembleError(f"the cluster at {dashboard.url} refused the job: {refused}") from None
    except SilentError as silent:
        raise ClusterLostError(
            f"the dashboard at {dashboard.url} stopped answering while the job was submitted: {silent}; see with "
            f"`ray job list --address {dashboard.url}` whether it began"
        ) from None
    return Job(dashboard, str(answer["submission_id"]))


def command_line(arguments: Sequence[str], *, new_run: str | None = None) -> str:
    """The shell's line for a command of ours.

    Args:
        arguments: Of the command; whatever is in them, the shell sees words.
        new_run: Name of a run directory to be made in the head's home directory, added as ``--run``.
    """
    words = ["exec", "python3", "cluster/driver.py", *map(shlex.quote, arguments)]
    if new_run is not None:
        words += ["--run", f'"$HOME"/{RUNS}/{shlex.quote(new_run)}']
    return " ".join(words)


def read_state(answer: Any) -> JobState:
    """A job's state from the dashboard's JSON.

    Raises:
        SilentError: it makes no sense.
    """
    try:
        code = answer["driver_exit_code"]
        return JobState(
            str(answer["status"]),
            None if code is None else int(code),
            str(answer.get("error_type") or ""),
            str(answer.get("message") or ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise SilentError(f"an answer that makes no sense: {str(answer)[:200]}") from None


def exit_code(state: JobState) -> int:
    """The exit code of a job's command, as if it had run here.

    A stopped job was terminated; a driver killed by a signal ends with 128 and its number; one whose node went away
    has none, and the cluster was lost.
    """
    if state.status == "STOPPED":
        return TERMINATED
    if state.exit_code is not None:
        return state.exit_code if state.exit_code >= 0 else 128 - state.exit_code
    if state.status == "SUCCEEDED":
        return 0
    return ClusterLostError.exit_code if state.error in LOST else EnsembleError.exit_code


class Log:
    """A log that grows, handed on by whole lines; each once."""

    def __init__(self, tell: Callable[[str], None], result: Callable[[str], None]) -> None:
        self._tell, self._result = tell, result
        self._shown = 0
        self._in_results = False

    def show(self, text: str, *, ended: bool) -> None:
        """Hand on what is new in the whole log; an unfinished last line only when nothing more will come."""
        for line in self._new_lines(text, ended=ended):
            if line == RESULTS:
                self._in_results = True
            else:
                (self._result if self._in_results else self._tell)(line)

    def _new_lines(self, text: str, *, ended: bool) -> list[str]:
        end = len(text) if ended else text.rfind("\n") + 1
        new = text[self._shown : end]
        self._shown = max(self._shown, end)
        return new.splitlines()
