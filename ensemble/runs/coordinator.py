"""The coordinator: hands tasks to a pool, writes what comes back, and knows when all is done.

It is the only writer of a run directory. Workers train and predict; here nothing heavy runs.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any

from ensemble.config import ExecutionConfig
from ensemble.data.dataset import Dataset
from ensemble.errors import TooFewMembersError
from ensemble.members.plan import MemberPlan
from ensemble.runs.attempts import Attempt
from ensemble.runs.averaging import average_parameters
from ensemble.runs.pool import POLL_SECONDS, Observer, Pool
from ensemble.runs.publishing import publish
from ensemble.runs.recovery import Stack, not_sound, recover
from ensemble.runs.repeating import RepeatingPool
from ensemble.runs.reporting import finished_members, make_report
from ensemble.runs.silence import AttentivePool, Clock
from ensemble.runs.store import RunStore
from ensemble.training.events import Failed


def run_ensemble(
    store: RunStore,
    data: Dataset,
    pool: Pool,
    observe: Observer,
    execution: ExecutionConfig,
    *,
    strict: bool = False,
    clock: Clock = time.monotonic,
) -> dict[str, Any]:
    """Train what is not yet trained, combine, evaluate, and write the report.

    Args:
        store: A run directory whose lock the caller holds.
        data: The rows that the directory was made for.
        pool: An open pool, to which nothing was submitted yet.
        observe: Called with every message, for display.
        execution: Retries, checkpoints and the least number of members, which may differ from session to session.
        strict: Refuse to go on under other hardware, threads or versions than the run was made under.
        clock: Seconds from any origin.

    Returns:
        The report, as written to ``report.json``.

    Raises:
        RunError: a member was begun with another configuration, or ``strict`` found a difference.
        TooFewMembersError: fewer members finished than ``min_members``.
        ClusterLostError: the pool's workers are gone all together.
        DiskError: a write was refused; what was committed before is intact.
    """
    pool.share(data)
    pool = AttentivePool(pool, least=execution.silence, clock=clock)
    plans = store.plans
    train_members(plans, store, data, pool, observe, execution, strict=strict, clock=clock)
    finished = finished_members(store)
    least = execution.min_members or 1
    if len(finished) < least:
        raise TooFewMembersError(
            f"{len(finished)} of {len(plans)} members finished, and min-members is {least}; "
            f"the reasons are in {store.root}/members/*/failure.json"
        )
    repeating = RepeatingPool(pool, retries=execution.retries, clock=clock)
    average_parameters(finished, store, repeating, observe)
    report = make_report(store, pool.describe(), records=finished)
    publish(store, report, data)
    store.log("report_written")
    return report


AHEAD = 2
"""Tasks handed to the pool for each of its workers: one under way, and one so that it need not wait for us."""


def train_members(
    plans: Sequence[MemberPlan],
    store: RunStore,
    data: Dataset,
    pool: Pool,
    observe: Observer,
    execution: ExecutionConfig,
    *,
    strict: bool = False,
    clock: Clock = time.monotonic,
) -> None:
    """Train every member that is not done, each as often as the retry rule allows; failures are recorded.

    Digests of members that are done are checked in between: one that is damaged is trained again, with those that it
    was trained together with, of which then nothing is written.
    """
    found = recover(plans, store, data)
    expected = found.fingerprint if strict else None
    counter = itertools.count()

    def wait(attempt: Attempt, *, until: float) -> None:
        heapq.heappush(due, (until, next(counter), attempt))

    def want(stack: Stack, members: Collection[int]) -> None:
        wait(Attempt(stack, store, wanted=members, expected=expected, strict=strict), until=clock())

    due: list[tuple[float, int, Attempt]] = []
    for stack, members in found.unfinished:
        want(stack, members)
    under_way: dict[str, Attempt] = {}
    unread = deque(found.finished)
    while due or under_way or unread:
        while due and due[0][0] <= clock() and len(under_way) < AHEAD * pool.workers:
            *_, attempt = heapq.heappop(due)
            task = attempt.begin(checkpoint_every=execution.checkpoint_every)
            under_way[task.key] = attempt
            pool.submit(task, attempt=attempt.number)
        if unread:
            stack = unread.popleft()
            if damaged := not_sound(stack, store):
                want(stack, damaged)
            else:
                store.forget_stack(stack)
        for message in pool.poll(0.0 if unread else POLL_SECONDS):
            observe(message)
            known = under_way.get(message.key)
            if known is None or known.number != message.attempt:
                continue  # late word from an attempt that is over
            event = known.judge(message.event)
            if isinstance(event, Failed):
                delay = known.fail(event, retries=execution.retries)
                if delay is not None:
                    wait(known, until=clock() + delay)
            elif not known.record(event):
                continue
            del under_way[message.key]
            if event is not message.event and message.event is not None:
                pool.cancel(message.key)  # the judgement is ours: the worker is still at it
