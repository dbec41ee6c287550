"""Where a run stands, from its directory alone: works while it runs and after it died."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ensemble.runs.store import RunStore


@dataclass(frozen=True)
class MemberStatus:
    """One member; what is not known is None."""

    index: int
    state: str
    """done, running, interrupted, waiting, failed or diverged."""
    attempts: int
    epoch: int
    epochs: int
    loss: float | None
    metric: float | None
    seconds: float
    place: str | None
    failure: str | None


@dataclass(frozen=True)
class RunStatus:
    """A run and its members."""

    name: str
    state: str
    """running, done, failed or interrupted."""
    held_by: str | None
    members: tuple[MemberStatus, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def run_status(store: RunStore) -> RunStatus:
    """Read manifests, failures and the diary."""
    held_by = store.holder()
    diary: dict[int, dict[str, Any]] = {}
    for event in store.events():
        member = event.get("member")
        if not isinstance(member, int):
            continue
        seen = diary.setdefault(member, {"attempts": 0, "epoch": 0, "seconds": 0.0})
        if event["event"] == "started":
            seen |= {"attempts": event["attempt"], "epoch": event["resumed_epoch"]}
            seen["place"] = f"{event['device']} · {event['host']} {event['pid']}"
        elif event["event"] == "epoch":
            seen |= {key: event[key] for key in ("epoch", "loss", "metric")}
            seen["seconds"] += event["seconds"]
    config = store.record.config
    members = tuple(
        _member_status(store, index, diary.get(index, {}), live=held_by is not None)
        for index in range(config.ensemble.members)
    )
    return RunStatus(
        store.record.name, _run_state(store, members, live=held_by is not None), held_by, members
    )


def _member_status(store: RunStore, index: int, seen: dict[str, Any], *, live: bool) -> MemberStatus:
    record, failure = store.member(index), store.failure(index)
    if record is not None:
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
        place=seen.get("place"),
        failure=f"{failure.cause}: {failure.evidence.strip().splitlines()[-1]}" if failure else None,
    )


def _run_state(store: RunStore, members: tuple[MemberStatus, ...], *, live: bool) -> str:
    if live:
        return "running"
    if all(member.state in ("done", "failed", "diverged") for member in members):
        least = store.record.config.execution.min_members or 1
        enough = sum(member.state == "done" for member in members) >= least
        return "done" if enough and store.report_json.exists() else "failed" if not enough else "interrupted"
    return "interrupted"
