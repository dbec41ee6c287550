"""Where a run stands, from its directory alone: works while it runs and after it died."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ensemble.errors import RunError
from ensemble.runs.store import RunStore


@dataclass(frozen=True)
class MemberStatus:
    """One member; what is not known is None."""

    index: int
    state: str
    """done, running, interrupted, waiting, failed, diverged or damaged."""
    attempts: int
    epoch: int
    epochs: int
    loss: float | None
    metric: float | None
    seconds: float
    seconds_per_epoch: float | None
    """Of its last epoch."""
    place: str | None
    failure: str | None


@dataclass(frozen=True)
class RunStatus:
    """A run and its members."""

    name: str
    state: str
    """running, done, failed or interrupted."""
    held_by: str | None
    seconds_left: float | None
    """Until the members that are not done will be, at the pace of their last epochs; None where nobody trains."""
    members: tuple[MemberStatus, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def run_status(store: RunStore, *, held_by: str | None = None) -> RunStatus:
    """Read manifests, failures and the diary.

    Args:
        store: A run directory, or what tells of one that is kept in a storage (`ensemble.runs.fetching.glance`).
        held_by: Who trains the run now, where its lock is elsewhere.
    """
    held_by = held_by or store.holder()
    diary: dict[int, dict[str, Any]] = {}
    for event in store.events():
        if isinstance(event.get("member"), int):
            _note(event, diary.setdefault(event["member"], {"attempts": 0, "epoch": 0, "seconds": 0.0}))
    config = store.record.config
    members = tuple(
        _member_status(store, index, diary.get(index, {}), live=held_by is not None)
        for index in range(config.ensemble.members)
    )
    state = _run_state(store, members, live=held_by is not None)
    return RunStatus(store.record.name, state, held_by, seconds_left(members), members)


def seconds_left(members: Iterable[MemberStatus]) -> float | None:
    """Epochs left, times the mean of the last epochs' seconds, over the members that run at once."""
    open_ = [member for member in members if member.state in ("running", "waiting")]
    paces = [m.seconds_per_epoch for m in open_ if m.state == "running" and m.seconds_per_epoch is not None]
    if not paces:
        return None
    at_once = sum(member.state == "running" for member in open_)
    return sum(m.epochs - m.epoch for m in open_) * sum(paces) / len(paces) / at_once


def _member_status(store: RunStore, index: int, seen: dict[str, Any], *, live: bool) -> MemberStatus:
    damage = None
    try:
        record, failure = store.member(index), store.failure(index)
    except RunError as error:
        record, failure, damage = None, None, str(error)
    if damage is not None:
        state = "damaged"
    elif record is not None:
        state = "done"
    elif failure is not None:
        state = "diverged" if failure.cause == "diverged" else "failed"
    elif seen:
        state = "running" if live else "interrupted"
    else:
        state = "waiting"
    return MemberStatus(
        index=index,
        state=state,
        attempts=record.attempts if record else seen.get("attempts", 0),
        epoch=record.epochs if record else seen.get("epoch", 0),
        epochs=store.record.config.train.epochs,
        loss=seen.get("loss"),
        metric=seen.get("metric"),
        seconds=record.seconds if record else seen.get("seconds", 0.0),
        seconds_per_epoch=seen.get("pace"),
        place=seen.get("place"),
        failure=f"{failure.cause}: {_last_line(failure.evidence)}" if failure else damage,
    )


def _note(event: dict[str, Any], seen: dict[str, Any]) -> None:
    """Take a line of the diary in. Nothing vouches for the diary: a line that is not as we write it is passed over."""
    try:
        if event["event"] == "started":
            where = f"{event['device']} · {event['host']} {event['pid']}"
            seen |= {"attempts": int(event["attempt"]), "epoch": int(event["resumed_epoch"]), "place": where}
        elif event["event"] == "epoch":
            metric = None if event["metric"] is None else float(event["metric"])
            told = {"epoch": int(event["epoch"]), "loss": float(event["loss"]), "metric": metric}
            pace = float(event["seconds"])
            seen |= told | {"seconds": seen["seconds"] + pace, "pace": pace}
    except (KeyError, TypeError, ValueError, OverflowError):
        return


def _last_line(evidence: str) -> str:
    lines = evidence.strip().splitlines()
    return lines[-1] if lines else "no evidence"


def _run_state(store: RunStore, members: tuple[MemberStatus, ...], *, live: bool) -> str:
    if live:
        return "running"
    if all(member.state in ("done", "failed", "diverged") for member in members):
        least = store.record.config.execution.min_members or 1
        enough = sum(member.state == "done" for member in members) >= least
        return "done" if enough and store.report_json.exists() else "failed" if not enough else "interrupted"
    return "interrupted"
