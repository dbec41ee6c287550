"""``ensemble submit``: what is printed where, and how it ends. The cluster is played."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import cluster
from cluster.dashboard import Dashboard
from cluster.jobs import JobState
from ensemble.cli.main import cli
from ensemble.errors import UsageError

URL = "http://head:8265"


class PlayedJob:
    """A job that writes two lines and ends as it is told to."""

    id = "raysubmit_1"
    dashboard = Dashboard(URL)

    def __init__(self, ends: int | BaseException) -> None:
        self.ends = ends
        self.dashboard.version = "2.60.0"

    def follow(self, *, tell: Callable[[str], None], result: Callable[[str], None]) -> int:
        tell("member 000\x1b[2J done")
        if isinstance(self.ends, BaseException):
            raise self.ends
        result("accuracy 0.9")
        return self.ends

    def state(self) -> JobState:
        return JobState("RUNNING", None, "", "")

    def stop(self) -> JobState:
        return JobState("STOPPED", None, "", "")

    def log(self) -> str:
        return "member 000 epoch 1\nstopped by SIGTERM; everything committed is safe\n"


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Result, dict[str, Any]]]:
    def run(*arguments: str, ends: int | BaseException = 0) -> tuple[Result, dict[str, Any]]:
        asked: dict[str, Any] = {}

        def submit_job(address: str, words: list[str], **options: Any) -> PlayedJob:
            asked.update(options, address=address, words=words)
            return PlayedJob(ends)

        def find_job(address: str, job: str, **options: Any) -> PlayedJob:
            if job != PlayedJob.id:
                raise UsageError(f"there is no job {job!r}")
            return PlayedJob(ends)

        monkeypatch.setattr(cluster, "submit_job", submit_job)
        monkeypatch.setattr(cluster, "find_job", find_job)
        return CliRunner().invoke(cli, ["submit", "--address", URL, *arguments]), asked

    return run


Play = Callable[..., tuple[Result, dict[str, Any]]]


@pytest.mark.parametrize("code", [0, 2, 3, 4, 5, 143])
def test_it_ends_with_the_runs_own_exit_code(play: Play, code: int) -> None:
    result, asked = play("--insecure", "--", "train", "--members", "2", ends=code)
    assert result.exit_code == code
    assert asked["words"] == ["train", "--members=2", "--address=auto", "--insecure"]
    assert asked["insecure"]
    assert asked["directory"] == Path.cwd()
    assert result.stdout == "accuracy 0.9\n", "results alone on standard output"
    assert "member 000[2J done" in result.stderr, "what a log holds does not steer the terminal"
    assert f"job raysubmit_1 on {URL}, which runs Ray 2.60.0" in result.stderr


def test_the_dashes_before_the_command_may_be_left_out(play: Play) -> None:
    assert play("train", "--members", "2")[1]["words"][1] == "--members=2"


def test_ctrl_c_ends_the_following_alone(play: Play) -> None:
    result, _ = play("train", ends=KeyboardInterrupt())
    assert result.exit_code == 130
    assert "no longer followed, and the job goes on; follow it with" in result.stderr
    assert f"`ensemble submit --address {URL} --stop raysubmit_1`" in result.stderr


def test_without_waiting_the_id_is_the_result(play: Play) -> None:
    result, _ = play("--no-wait", "--insecure", "train")
    assert result.stdout == "raysubmit_1\n"
    assert f"`ensemble submit --address {URL} --insecure --follow raysubmit_1`" in result.stderr


def test_a_job_is_followed_later(play: Play) -> None:
    assert play("--follow", "raysubmit_1", ends=3)[0].exit_code == 3
    result, _ = play("--follow", "other")
    assert (result.exit_code, result.stderr) == (2, "error: there is no job 'other'\n")


def test_stopping_says_what_the_run_said_last(play: Play) -> None:
    result, _ = play("--stop", "raysubmit_1")
    assert result.exit_code == 0
    assert result.stdout == "job raysubmit_1: stopped\n"
    assert result.stderr == "stopped by SIGTERM; everything committed is safe\n"


@pytest.mark.parametrize(
    "arguments", [(), ("--follow", "a", "--stop", "b"), ("--follow", "a", "--", "train")]
)
def test_one_thing_at_a_time(play: Play, arguments: tuple[str, ...]) -> None:
    result, asked = play(*arguments)
    assert result.exit_code == 2
    assert "give one of: a command behind --, --follow ID, --stop ID" in result.stderr
    assert not asked
