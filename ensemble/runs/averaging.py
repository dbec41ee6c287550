"""Averages of parameters: made here, refreshed and judged by a worker."""

from __future__ import annotations

from ensemble.errors import EnsembleError
from ensemble.members.plan import MemberPlan
from ensemble.merging.parameters import average
from ensemble.runs.pool import POLL_SECONDS, Observer, Pool
from ensemble.runs.store import RunStore
from ensemble.training.events import Failed, Scored
from ensemble.training.tasks import Score, Task


def average_parameters(plans: list[MemberPlan], store: RunStore, pool: Pool, observe: Observer) -> None:
    """Average the members' parameters, and have a worker refresh batch norm and predict with the result."""
    members = tuple(plan.index for plan in plans)
    known = store.average()
    if known is not None and known.members == members:
        return
    records = [store.member(index) for index in members]
    weights = average(store.weights(record) for record in records if record is not None)
    scored = run_score(Score("parameters", plans[0], weights, refresh=True), pool, observe)
    store.save_average(members, scored.weights, dict(scored.predictions))


def run_score(task: Task, pool: Pool, observe: Observer) -> Scored:
    """Run one ``Score`` task to its end.

    Raises:
        EnsembleError: it failed; the message carries the worker's evidence.
    """
    pool.submit(task, attempt=1)
    while True:
        for message in pool.poll(POLL_SECONDS):
            observe(message)
            if message.key != task.key:
                continue
            if isinstance(message.event, Scored):
                return message.event
            if isinstance(message.event, Failed):
                raise EnsembleError(f"{task.key} failed ({message.event.cause}): {message.event.evidence}")
