"""The redrawn table: a line a member, only those that matter of many, and markup of others left alone."""

import io

import pytest
from rich.console import Console

from ensemble.cli.live import MOST_MEMBERS, LiveTable, render, shown
from ensemble.cli.progress_state import ProgressState
from ensemble.runs.pool import Message
from ensemble.training.events import Failed, Finished, Notice, Progress, Started


def drawn(state: ProgressState) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(render(state, metric="accuracy"))
    return console.file.getvalue()


def running(state: ProgressState, member: int, *, key: str = "") -> None:
    state.update(Message(f"train/{member:03d}", 1, Started(member, device="cpu", host="node", pid=7)))


def test_a_line_a_member_and_an_overall_bar():
    state = ProgressState(members=2, epochs=4, clock=lambda: 0.0)
    running(state, 1)
    state.update(Message("train/001", 1, Progress(1, 2, 4, 0.5, 0.75, None, 0.1, 1.0, 0.0, 2.0, 3000)))
    lines = drawn(state).splitlines()
    assert lines[1].split()[:3] == ["000", "waiting", "0/4"]
    assert lines[2].split() == ["001", "running", "2/4", "0.5000", "0.7500", "1,500", "cpu", "·", "node", "7"]
    assert "0/2 members done" in lines[3]


def test_a_failure_stands_in_its_line_and_is_no_markup():
    state = ProgressState(members=1, epochs=4)
    state.update(Message("train/000", 1, Failed(0, "raised", "[bold]not markup[/nothing]")))
    assert "raised, [bold]not markup[/nothing]" in drawn(state)


def test_of_many_members_only_those_that_run_or_failed_are_shown():
    state = ProgressState(members=MOST_MEMBERS + 1, epochs=4)
    running(state, 3)
    running(state, 5)
    state.update(Message("train/003", 1, Finished(3, (), 1.0, 0.1)))
    state.update(Message("train/009", 1, Failed(9, "died", "exit code 1")))
    assert [row.index for row in shown(state)] == [5, 9]
    assert f"1/{MOST_MEMBERS + 1} members done, 1 failed" in drawn(state)


def test_few_members_are_all_shown():
    assert len(shown(ProgressState(members=MOST_MEMBERS, epochs=1))) == MOST_MEMBERS


@pytest.mark.parametrize("times", [1, 2])
def test_stopping_leaves_the_last_state_and_may_be_repeated(times):
    stream = io.StringIO()
    state = ProgressState(members=1, epochs=4)
    view = LiveTable(state, metric="accuracy", stream=stream)
    view.start()
    running(state, 0)
    for _ in range(times):
        view.stop()
    assert "running" in stream.getvalue()


def test_what_the_pool_says_stands_above_the_table_as_plain_text():
    """Seen to fail without `LiveTable.show`: a run that waited for resources looked as if it hung."""
    stream = io.StringIO()
    table = LiveTable(ProgressState(members=1, epochs=4), metric="accuracy", stream=stream)
    table.start()
    table.show(Message("", 0, Notice("waiting for 1 [red]: 3 of 3 in use")))
    table.stop()
    assert "waiting for 1 [red]: 3 of 3 in use" in stream.getvalue()
