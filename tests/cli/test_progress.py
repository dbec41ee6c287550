"""What a run tells: the state after each message, the lines without a terminal, and nothing that stops it."""

import io

import pytest

from ensemble.cli.progress import show_progress
from ensemble.cli.progress_state import ProgressState, clock_time, figure, first_line
from ensemble.runs.pool import Message
from ensemble.training.events import Diverged, Event, Failed, Finished, Notice, Progress, Scored, Started


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def message(member: int, event: Event | None, *, attempt: int = 1) -> Message:
    return Message(f"train/{member:03d}", attempt, event)


def started(member: int, *, attempt: int = 1, resumed: int = 0) -> Message:
    event = Started(member, device="cpu", host="node\x1b[2J", pid=42, resumed_epoch=resumed)
    return message(member, event, attempt=attempt)


def epoch(member: int, number: int, *, of: int = 4, attempt: int = 1, metric: float | None = 0.5) -> Message:
    event = Progress(
        member,
        epoch=number,
        epochs=of,
        loss=0.25,
        metric=metric,
        valid_loss=None,
        lr=0.1,
        grad_norm=1.0,
        clipped=0.0,
        seconds=2.0,
        rows=1000,
    )
    return message(member, event, attempt=attempt)


def finished(member: int) -> Message:
    return message(member, Finished(member, history=(), seconds=3.2, predict_seconds_per_1000_rows=0.1))


def failed(member: int, evidence: str = "ValueError: no", *, cause="raised", attempt: int = 1) -> Message:
    return message(member, Failed(member, cause, evidence), attempt=attempt)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def state(clock):
    return ProgressState(members=2, epochs=4, clock=clock)


def test_a_member_from_waiting_to_done(state):
    assert [row.state for row in state.members] == ["waiting", "waiting"]
    state.update(started(1))
    assert (state.members[1].state, state.members[1].place) == ("running", "cpu · node[2J 42")
    state.update(epoch(1, 1))
    row = state.members[1]
    assert (row.epoch, row.epochs, row.loss, row.metric, row.rows_per_second) == (1, 4, 0.25, 0.5, 500.0)
    assert state.fraction == pytest.approx(1 / 8)
    state.update(finished(1))
    assert state.members[1].state == "done"
    assert state.fraction == pytest.approx(1 / 2)
    assert state.members[0].state == "waiting"


def test_a_member_that_stops_early_has_nothing_left(state, clock):
    for event in (started(0), started(1)):
        state.update(event)
    clock.now += 10
    state.update(epoch(0, 1))
    assert state.seconds_left == pytest.approx(70)
    state.update(finished(0))
    assert state.seconds_left == pytest.approx(40)


def test_time_left_runs_down_between_messages_and_stays_above_zero(state, clock):
    assert state.seconds_left is None
    state.update(started(0))
    assert state.seconds_left is None
    clock.now += 10
    state.update(epoch(0, 1))
    clock.now += 30
    assert state.seconds_left == pytest.approx(40)
    clock.now += 1000
    assert state.seconds_left == 0


def test_epochs_before_a_resume_took_no_time_here(state, clock):
    state.update(started(0, resumed=3))
    clock.now += 10
    state.update(epoch(0, 4))
    assert state.seconds_left == pytest.approx(40)  # four epochs of member 1, at ten seconds each


def test_a_failed_member_is_tried_again(state):
    state.update(started(0))
    state.update(failed(0, "Traceback (most recent call last):\n  File\nValueError: what\n", cause="raised"))
    assert (state.members[0].state, state.members[0].failure) == ("failed", "raised, ValueError: what")
    state.update(started(0, attempt=2, resumed=2))
    row = state.members[0]
    assert (row.state, row.attempts, row.epoch) == ("running", 2, 2)


def test_late_words_of_a_replaced_attempt_are_ignored(state):
    state.update(started(0))
    state.update(started(0, attempt=2))
    state.update(epoch(0, 3, attempt=1))
    state.update(failed(0, attempt=1))
    assert (state.members[0].state, state.members[0].epoch) == ("running", 0)


def test_a_failed_stack_is_the_failure_of_all_its_members_but_those_done(state):
    state.update(finished(0))
    state.update(Message("train/000+001", 1, Failed(None, "died", "exit code -9")))
    assert [row.state for row in state.members] == ["done", "failed"]


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        (Diverged(0, "loss is nan"), "diverged"),
        (Failed(0, "cancelled", "stopped"), "cancelled"),
        (Failed(0, "hung", "silent"), "failed"),
    ],
)
def test_ends_that_have_a_state_of_their_own(state, said, counted):
    state.update(message(0, said))
    assert state.count(counted) == 1
    assert f"1 {counted}" in state.overall


def test_other_messages_change_no_member(state):
    before = list(state.members)
    state.update(message(0, None))
    state.update(Message("score/parameters", 1, Scored({}, {})))
    state.update(Message("score/parameters", 1, Failed(None, "died", "exit code 1")))
    assert state.members == before


def test_overall_counts_and_ends_in_combining(state, clock):
    assert state.overall == "0/2 members done"
    state.update(started(0))
    clock.now += 10
    state.update(epoch(0, 1))
    assert state.overall == "0/2 members done, 1:10 left"
    state.update(finished(0))
    state.update(failed(1))
    assert state.overall == "1/2 members done, 1 failed, combining"


def lines_of(messages, *, clock=None, members=2, **options) -> list[str]:
    stream = io.StringIO()
    with show_progress(
        members=members, epochs=4, task="classification", stream=stream, clock=clock or Clock(), **options
    ) as observe:
        for each in messages:
            observe(each)
    return stream.getvalue().splitlines()


def test_plain_lines_say_start_epoch_end_and_failure():
    lines = lines_of(
        [started(0), epoch(0, 1), message(0, Diverged(0, "loss is nan")), started(1), finished(1)]
    )
    assert lines == [
        "member 000  started on cpu · node[2J 42",
        "member 000  epoch 1/4  loss 0.2500  accuracy 0.5000  500.0 rows/s  [0/2 members done]",
        "member 000  diverged: loss is nan",
        "member 001  started on cpu · node[2J 42",
        "member 001  done in 3.2 s  [1/2 members done, 1 diverged, combining]",
    ]


def test_what_the_pool_says_is_a_line_of_its_own():
    notice = Message("", 0, Notice("waiting for 1 GPU: 3 of 3 in use\x1b[2J"))
    assert lines_of([notice, started(0)])[0] == "waiting for 1 GPU: 3 of 3 in use[2J"


def test_plain_lines_say_which_attempt_and_from_where():
    lines = lines_of([started(0), failed(0), started(0, attempt=2, resumed=3)])
    assert lines[-1].endswith("attempt 2, from epoch 3")


def test_without_validation_rows_no_metric_is_shown():
    assert "accuracy" not in lines_of([started(0), epoch(0, 1, metric=None)])[-1]


def test_many_epochs_are_a_line_a_second():
    clock = Clock()

    def eight_a_second():
        for number in range(1, 801):
            yield epoch(0, number, of=800)
            clock.now += 0.125  # exact in binary

    assert len(lines_of(eight_a_second(), clock=clock)) == 100


def test_bounded_lines_never_swallow_starts_ends_and_failures():
    messages = [m for member in range(50) for m in (started(member), epoch(member, 1), finished(member))]
    assert len(lines_of(messages, members=50)) == 101


def test_quiet_says_nothing():
    assert lines_of([started(0), failed(0)], quiet=True) == []


def test_a_stream_that_breaks_does_not_reach_the_run():
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with show_progress(members=1, epochs=1, task="regression", stream=Broken()) as observe:
        observe(started(0))
        observe(finished(0))


def test_a_display_that_fails_says_so_once():
    lines = lines_of([started(7), started(0), started(1)])  # there are two members: 7 is no index
    assert lines == ["progress is no longer shown: IndexError: list index out of range"]


def test_an_error_of_the_run_passes_through():
    with (
        pytest.raises(KeyboardInterrupt),
        show_progress(members=1, epochs=1, task="regression", stream=io.StringIO()),
    ):
        raise KeyboardInterrupt


def test_a_terminal_gets_the_table_and_a_dumb_one_lines(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with show_progress(members=1, epochs=4, task="regression", stream=terminal) as observe:
        observe(started(0))
    assert "RMSE" in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()
    monkeypatch.setenv("TERM", "dumb")
    dumb = Terminal()
    with show_progress(members=1, epochs=4, task="regression", stream=dumb) as observe:
        observe(started(0))
    assert dumb.getvalue().startswith("member 000  started")


def test_force_color_makes_no_terminal_of_a_file(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b" not in "".join(lines_of([started(0)]))


@pytest.mark.parametrize(
    ("evidence", "line"),
    [
        ("exit code -9", "exit code -9"),
        ("\n\n  killed \nmore", "killed"),
        ("", "no evidence"),
        (
            'Traceback (most recent call last):\n  File "a.py", line 1\n    f()\nValueError: first\n\n'
            "During handling of the above exception, another exception occurred:\n\n"
            'Traceback (most recent call last):\n  File "b.py", line 2\n    g()\n    ^^^\n'
            "my.Error: second\nwith details\n",
            "my.Error: second",
        ),
    ],
)
def test_first_line(evidence, line):
    assert first_line(evidence) == line


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (9.94, "9.9 s"), (40.2, "0:41"), (725, "12:05"), (3723, "1:02:03")]
)
def test_clock_time(seconds, text):
    assert clock_time(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.91234, "0.9123"), (12.345, "12.35"), (48210.4, "48,210"), (float("nan"), "nan")],
)
def test_figure(value, text):
    assert figure(value) == text
