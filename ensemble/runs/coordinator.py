"""The coordinator: hands tasks to a pool, writes what comes back, and knows when all is done.

It is the only writer of a run directory. Workers train and predict; here nothing heavy runs.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from ensemble.config import ExecutionConfig
from ensemble.data.dataset import Dataset
from ensemble.errors import TooFewMembersError
from ensemble.members.plan import MemberPlan, plan_members
from ensemble.runs.atomic import Digest
from ensemble.runs.averaging import average_parameters
from ensemble.runs.pool import POLL_SECONDS, Message, Observer, Pool
from ensemble.runs.reporting import make_report
from ensemble.runs.retry import decide
from ensemble.runs.store import RunStore, plan_digest
from ensemble.training.events import Checkpoint, Failed, Finished, Predictor, Progress, Started
from ensemble.training.tasks import Train


def run_ensemble(
    store: RunStore, data: Dataset, pool: Pool, observe: Observer, execution: ExecutionConfig
) -> dict[str, Any]:
    """Train what is not yet trained, combine, evaluate, and write the report.

    Args:
        store: A run directory whose lock the caller holds.
        data: The rows that the directory was made for.
        pool: An open pool, to which nothing was submitted yet.
        observe: Called with every message, for display.
        execution: Retries, checkpoints and the least number of members, which may differ from session to session.

    Returns:
        The report, as written to ``report.json``.

    Raises:
        TooFewMembersError: fewer members finished than ``min_members``.
        ClusterLostError: the pool's workers are gone all together.
    """
    pool.share(data)
    plans = plan_members(store.record.config, data.spec)
    train_members(plans, store, pool, observe, execution)
    finished = [plan for plan in plans if store.member(plan.index) is not None]
    least = execution.min_members or 1
    if len(finished) < least:
        raise TooFewMembersError(
            f"{len(finished)} of {len(plans)} members finished, and min-members is {least}; "
            f"the reasons are in {store.root}/members/*/failure.json"
        )
    average_parameters(finished, store, pool, observe)
    report = make_report(store, pool.describe())
    store.save_report(report)
    store.log("report_written")
    return report


@dataclass
class Attempt:
    """A member's attempt under way, and what it has left behind so far."""

    number: int
    files: dict[str, Digest] = field(default_factory=dict)
    fingerprints: list[dict[str, Any]] = field(default_factory=list)


def train_members(
    plans: tuple[MemberPlan, ...],
    store: RunStore,
    pool: Pool,
    observe: Observer,
    execution: ExecutionConfig,
) -> None:
    """Train every member that is not done, each as often as the retry rule allows; failures are recorded."""
    open_members = {plan.index: plan for plan in plans if not _is_done(plan, store)}
    attempts: dict[int, Attempt] = defaultdict(lambda: Attempt(0))
    later: list[tuple[float, MemberPlan]] = []

    def start(plan: MemberPlan) -> None:
        attempt = attempts[plan.index]
        attempt.number += 1
        found = store.last_checkpoint(plan)
        attempt.files = dict(found.files) if found else {}
        if found is not None and found.fingerprint not in attempt.fingerprints:
            attempt.fingerprints.append(found.fingerprint)
        task = Train(
            (plan,), state=found.state if found else None, checkpoint_every=execution.checkpoint_every
        )
        pool.submit(task, attempt=attempt.number)

    for plan in open_members.values():
        store.begin_member(plan)
        start(plan)
    while open_members:
        now = time.monotonic()
        for due in [entry for entry in later if entry[0] <= now]:
            later.remove(due)
            start(due[1])
        for message in pool.poll(POLL_SECONDS):
            observe(message)
            member = getattr(message.event, "member", None)
            if member not in open_members or attempts[member].number != message.attempt:
                continue  # late word from an attempt that is over
            plan, attempt = open_members[member], attempts[member]
            if isinstance(message.event, Failed):
                delay = _handle_failure(plan, message.event, attempt, store, retries=execution.retries)
                if delay is None:
                    del open_members[member]
                else:
                    later.append((now + delay, plan))
            elif _record(plan, message, attempt, store):
                del open_members[member]


def _is_done(plan: MemberPlan, store: RunStore) -> bool:
    record = store.member(plan.index)
    return record is not None and record.plan_sha256 == plan_digest(plan)


def _record(plan: MemberPlan, message: Message, attempt: Attempt, store: RunStore) -> bool:
    """Write what an event brings; True where the member is done with it."""
    event = message.event
    if isinstance(event, Started):
        if event.fingerprint not in attempt.fingerprints:
            attempt.fingerprints.append(event.fingerprint)
        store.log(
            "started",
            member=plan.index,
            attempt=attempt.number,
            host=event.host,
            pid=event.pid,
            device=event.device,
            resumed_epoch=event.resumed_epoch,
        )
    elif isinstance(event, Progress):
        store.log(
            "epoch",
            member=plan.index,
            epoch=event.epoch,
            epochs=event.epochs,
            loss=event.loss,
            metric=event.metric,
            seconds=round(event.seconds, 4),
        )
    elif isinstance(event, Checkpoint):
        store.save_checkpoint(plan, event, attempt.fingerprints[-1], attempt.files)
    elif isinstance(event, Predictor):
        attempt.files |= store.save_predictor(event)
    elif isinstance(event, Finished):
        store.commit_member(
            plan, event, attempt.files, attempts=attempt.number, fingerprints=attempt.fingerprints
        )
        store.log("finished", member=plan.index, attempt=attempt.number, seconds=round(event.seconds, 3))
        return True
    return False


def _handle_failure(
    plan: MemberPlan, failed: Failed, attempt: Attempt, store: RunStore, *, retries: int
) -> float | None:
    """Seconds until the next attempt; None where the member was given up."""
    decision = decide(failed.cause, attempts=attempt.number, retries=retries)
    store.log(
        "failed",
        member=plan.index,
        attempt=attempt.number,
        cause=failed.cause,
        evidence=failed.evidence,
        decision=decision.action,
        reason=decision.reason,
    )
    if decision.action == "retry":
        return decision.delay
    store.fail_member(plan.index, failed, attempts=attempt.number)
    return None
