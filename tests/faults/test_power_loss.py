"""The power fails after every single call of the writer: nothing that was acknowledged is lost.

``kill -9`` cannot show a missing fsync, since the kernel keeps what was written. So the writer's calls are recorded,
and for every prefix of them the directory is put back as a disk could hold it that lost what was not synced.

Seen to fail when any one of these is taken out of ``atomic.py``: the fsync of the file, that of the directory after the
rename, that of the directory in which a directory was made, that of the directories whose files a manifest names. They
are also taken out below, each time. Seen to fail as well when ``member.json`` is there before the files that it names.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ensemble.errors import RunError
from ensemble.runs import atomic
from ensemble.runs.checkpoints import Checkpoints
from ensemble.runs.store import RunStore
from tests.faults.power import Call, RecordingOs, power_losses, put_back
from tests.faults.tally import Tally
from tests.runs.simulation import PLANS, digests, make_store, train_alone, undisturbed

PLAN = PLANS[0]
Leave = Callable[[list[Call], Call], bool]


def recorded(directory: Path, monkeypatch: pytest.MonkeyPatch, leave_out: Leave | None = None) -> list[Call]:
    """The calls of a run from its making to its end, and what it acknowledged in between."""
    disk = RecordingOs(directory, leave_out=leave_out)
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "os", disk)
        for kind, name in ((RunStore, "create"), (Checkpoints, "save"), (RunStore, "commit_member")):
            patch.setattr(kind, name, acknowledging(getattr(kind, name), name, disk))
        train_alone(make_store(directory / "run"))
    return disk.calls


def acknowledging(real: Any, name: str, disk: RecordingOs) -> Any:
    def call(*args: Any, **options: Any) -> Any:
        result = real(*args, **options)
        step = args[1].step if name == "save" else None
        disk.note("ack", name, step)
        return result

    return call


def check(root: Path, acknowledged: list[Call], *, resume: bool) -> None:
    """What was acknowledged is there; and where asked for, a resume ends as if undisturbed.

    Raises:
        AssertionError: it is not.
    """
    try:
        store = RunStore.open(root)
    except RunError:
        assert not acknowledged, "the run is lost"
        return
    record = store.member(PLAN.index)
    if record is not None:
        store.check_digests(record)
        assert store.begun(PLAN.index) is not None, "the plan of a finished member is lost"
    else:
        assert "commit_member" not in {call.path for call in acknowledged}, "a finished member is lost"
        steps = [call.more for call in acknowledged if call.path == "save"]
        found = store.checkpoints(PLAN).last()
        assert (found.state.step if found else 0) >= max(steps, default=0), "a checkpoint is lost"
    if resume:
        train_alone(RunStore.open(root))
        assert digests(root) == undisturbed((PLAN,))
        assert not list(root.rglob(f"*{atomic.TEMPORARY}"))


def replay(calls: list[Call], directory: Path, *, resume_every: int) -> int:
    """Check every state that a loss of power could leave; returns how many there were."""
    states = 0
    for length, loss, left in power_losses(calls):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        put_back(left, directory)
        acknowledged = [call for call in calls[:length] if call.kind == "ack"]
        try:
            check(directory / "run", acknowledged, resume=states % resume_every == 0)
        except (AssertionError, RunError) as error:
            raise AssertionError(f"power lost after call {length}, with {loss}: {error}") from error
        states += 1
    return states


def test_no_loss_of_power_loses_what_was_acknowledged(
    fast_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fast_directory / "live").mkdir()
    calls = recorded(fast_directory / "live", monkeypatch)
    assert replay(calls, fast_directory / "left", resume_every=17) > 300


def made_a_directory(calls: list[Call]) -> bool:
    return bool(calls) and calls[-1].kind == "mkdir"


def is_of_names(calls: list[Call], call: Call) -> bool:
    """Whether it is a sync of a directory before a manifest: all that is not right after a rename of one."""
    if call.kind != "sync directory" or made_a_directory(calls):
        return False
    return not (calls[-1].kind == "rename" and calls[-1].more.endswith(".json"))


@pytest.mark.parametrize(
    "leave_out",
    [
        lambda calls, call: call.kind == "sync",
        lambda calls, call: call.kind == "sync directory" and not made_a_directory(calls),
        lambda calls, call: call.kind == "sync directory" and made_a_directory(calls),
        is_of_names,
    ],
    ids=["of the file", "of the directory", "of the directory's own entry", "of what a manifest names"],
)
def test_without_a_sync_something_is_lost(
    fast_directory: Path, monkeypatch: pytest.MonkeyPatch, leave_out: Leave
) -> None:
    """The check above can fail: each kind of sync is taken out here."""
    (fast_directory / "live").mkdir()
    calls = recorded(fast_directory / "live", monkeypatch, leave_out)
    with pytest.raises(AssertionError, match="power lost after call"):
        replay(calls, fast_directory / "left", resume_every=10**9)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_every_loss_of_power_is_resumed_to_the_same_end(
    fast_directory: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    (fast_directory / "live").mkdir()
    calls = recorded(fast_directory / "live", monkeypatch)
    states = replay(calls, fast_directory / "left", resume_every=1)
    tally.add("power lost, writer replayed", schedules=len(calls) + 1, faults=states, lost=0)
