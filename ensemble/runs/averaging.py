"""Averages of parameters: made here from committed weights, refreshed and judged by workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from ensemble.combining.predictions import Array
from ensemble.errors import EnsembleError
from ensemble.evaluation.held_out import split_holdout
from ensemble.evaluation.metrics import loss_rows
from ensemble.members.plan import MemberPlan
from ensemble.merging import soups
from ensemble.merging.matching import match_many
from ensemble.merging.parameters import average
from ensemble.runs.pool import POLL_SECONDS, Observer, Tasks
from ensemble.runs.records import Average, MemberRecord
from ensemble.runs.store import RunStore
from ensemble.streams import RunPurpose, run_sequence, torch_seed
from ensemble.training.events import Failed, Scored, Weights
from ensemble.training.networks import permutations_of_plan
from ensemble.training.tasks import Score

Making = tuple[Average, Callable[[], Weights]]
"""An average that is wanted, and how its parameters come about; called when a worker is free for it."""


def average_parameters(records: list[MemberRecord], store: RunStore, pool: Tasks, observe: Observer) -> None:
    """Make every average of parameters that the run asks for and does not have yet.

    Of the members: ``averaged``, aligned first where the run says ``match`` (then ``unmatched`` is the plain one), and
    with ``soup`` the ``greedy`` one. Of snapshots: ``snapshots-<member>``, within each member, where it is sound.
    """
    plan = store.plans[records[0].index]
    work = _Work(plan, store, pool, observe)
    wanted = [*_of_members(records, plan, store), *_of_snapshots(records, store)]
    work.make([(average, weights) for average, weights in wanted if not _is_made(average, store)])
    if store.record.config.ensemble.soup:
        _greedy_soup(records, plan, work)


def aligned(networks: list[Weights], plan: MemberPlan) -> list[Weights]:
    """The networks with their units reordered so that their parameters lie close together.

    Raises:
        UsageError: the network declares no permutations; it is named.
    """
    seed = torch_seed(run_sequence(plan.seed, RunPurpose.MATCHING))
    return match_many(networks, permutations_of_plan(plan), seed=seed)


def _of_members(records: list[MemberRecord], plan: MemberPlan, store: RunStore) -> list[Making]:
    networks = tuple((record.index, 0) for record in records)
    plain = lambda: average(store.weights(record) for record in records)  # noqa: E731
    if not store.record.config.ensemble.match:
        return [(Average("averaged", "members", networks), plain)]
    together = lambda: average(aligned([store.weights(record) for record in records], plan))  # noqa: E731
    return [
        (Average("averaged", "members", networks, matched=True), together),
        (Average("unmatched", "members", networks), plain),
    ]


def _of_snapshots(records: list[MemberRecord], store: RunStore) -> Iterator[Making]:
    for record in records:
        count = store.predictor_count(record, "snapshots")
        if count:
            name = f"snapshots-{record.index:03d}"
            networks = tuple((record.index, index) for index in range(count))
            yield Average(name, "snapshots", networks), partial(_average_snapshots, record, count, store)


def _average_snapshots(record: MemberRecord, count: int, store: RunStore) -> Weights:
    return average(store.weights(record, "snapshots", index) for index in range(count))


def _greedy_soup(records: list[MemberRecord], plan: MemberPlan, work: _Work) -> None:
    """The greedy soup of the members, chosen by the loss on that half of the validation rows that selects."""
    store = work.store
    members, match = tuple((record.index, 0) for record in records), store.record.config.ensemble.match
    known = store.averages.get("greedy")
    if known is not None and known.candidates == members:
        return
    targets = store.targets()["valid_targets"]
    rows, _ = split_holdout(len(targets), seed=plan.seed)

    def worth(valid: Array) -> float:
        return -float(loss_rows(valid[rows], targets[rows], task=store.spec.task).mean())

    networks = [store.weights(record) for record in records]
    soup = soups.greedy(
        aligned(networks, plan) if match else networks,
        scores=[worth(store.predictions(record)["valid"]) for record in records],
        score=lambda weights: worth(work.score("greedy", weights, parts=("valid",)).predictions["valid"]),
    )
    chosen = tuple(members[index] for index in soup.chosen)
    work.make([(Average("greedy", "members", chosen, match, candidates=members), lambda: soup.weights)])


def _is_made(average: Average, store: RunStore) -> bool:
    """Whether it stands already, made of the same networks in the same way."""
    known = store.averages.get(average.name)
    return known is not None and (known.networks, known.matched) == (average.networks, average.matched)


class _Work:
    """Averages are refreshed and judged by workers, several at once, and committed as they come back."""

    def __init__(self, plan: MemberPlan, store: RunStore, pool: Tasks, observe: Observer) -> None:
        self._plan, self.store, self._pool, self._observe = plan, store, pool, observe

    def make(self, wanted: list[Making]) -> None:
        """Compute, refresh, predict, commit; no more at once than there are workers, so memory stays bounded."""
        for start in range(0, len(wanted), self._pool.workers):
            some = {one.name: (one, weights) for one, weights in wanted[start : start + self._pool.workers]}
            for name, (_, weights) in some.items():
                self._submit(name, weights(), parts=("valid", "test"))
            for name, scored in self._results(len(some)):
                self.store.averages.save(some[name][0], scored.weights, dict(scored.predictions))

    def score(self, name: str, weights: Weights, *, parts: tuple[str, ...]) -> Scored:
        """One network's predictions."""
        self._submit(name, weights, parts=parts)
        ((_, scored),) = self._results(1)
        return scored

    def _submit(self, name: str, weights: Weights, *, parts: tuple[str, ...]) -> None:
        self._pool.submit(Score(name, self._plan, weights, parts, refresh=True), attempt=1)

    def _results(self, count: int) -> Iterator[tuple[str, Scored]]:
        """``count`` answers by the names of their tasks.

        Raises:
            EnsembleError: a task failed; the message carries the worker's evidence.
        """
        while count:
            for message in self._pool.poll(POLL_SECONDS):
                self._observe(message)
                kind, _, name = message.key.partition("/")
                if kind == "score" and isinstance(message.event, Failed):
                    raise EnsembleError(
                        f"{message.key} failed ({message.event.cause}): {message.event.evidence}"
                    )
                if isinstance(message.event, Scored):
                    count -= 1
                    yield name, message.event
