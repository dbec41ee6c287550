"""Attempts at a member, or at a stack of them: what is done with each word of one, and what an attempt stands on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ensemble.errors import RunError
from ensemble.members.plan import MemberPlan
from ensemble.runs.atomic import Digest
from ensemble.runs.recovery import differences
from ensemble.runs.retry import decide
from ensemble.runs.store import RunStore, predictor_files
from ensemble.training.events import (
    Checkpoint,
    Diverged,
    Event,
    Failed,
    Finished,
    Origin,
    Predictor,
    Progress,
    Started,
)
from ensemble.training.tasks import Train

OfMember = Started | Progress | Predictor | Finished | Diverged


@dataclass
class _Member:
    """What the attempt under way has brought of one member."""

    plan: MemberPlan
    started: bool = False
    files: dict[str, Digest] = field(default_factory=dict)


class Attempt:
    """The attempts at one member, or at members that are trained together, one attempt after the other.

    What they bring is committed here and nowhere else.

    Attributes:
        number: Of the attempt under way, from 1; attempts of earlier sessions are not counted.
    """

    def __init__(
        self,
        plans: Sequence[MemberPlan],
        store: RunStore,
        *,
        wanted: Collection[int] | None = None,
        expected: dict[str, Any] | None = None,
        strict: bool = False,
    ) -> None:
        """
        Args:
            plans: The members that are trained together, all of them, since that decides their bits.
            store: Where what they bring is committed.
            wanted: Indices of those that are not done yet; of the others nothing is written. None: of all.
            expected: The fingerprint that every worker should have, where one is known.
            strict: Refuse workers with another fingerprint than is expected or than the members had before.
        """
        self.number = 0
        self._plans, self._store = tuple(plans), store
        self._strict, self._expected = strict, expected
        self._left = {p.index: _Member(p) for p in plans if wanted is None or p.index in wanted}
        self._fingerprints: list[dict[str, Any]] = []
        self._distrusted = False

    def begin(self, *, checkpoint_every: float) -> Train:
        """The task of the next attempt, from the last good checkpoint; all that came after that is forgotten."""
        checkpoints = self._store.checkpoints(*self._plans)
        if self.number == 0:
            for member in self._left.values():
                self._store.begin_member(member.plan)
        if self._distrusted:  # its checkpoints may come after what was lost
            checkpoints.set_aside()
        found = checkpoints.last()
        self.number += 1
        self._distrusted = False
        for member in self._left.values():
            prefix = self._prefix(member.plan)
            files = found.files if found else {}
            member.started = False
            member.files = {
                name.removeprefix(prefix): digest for name, digest in files.items() if name.startswith(prefix)
            }
        self._fingerprints = list(found.fingerprints) if found else []
        state = found.state if found else None
        return Train(self._plans, state=state, checkpoint_every=checkpoint_every)

    def judge(self, event: Event | None) -> Event:
        """The event, or what it really says: that a member or the attempt cannot be believed any further."""
        if event is None:
            return Failed(self._only, "died", f"its stream ended before {self._names} finished")
        member = self._member_of(event)
        if isinstance(event, Checkpoint) and not all(one.started for one in self._left.values()):
            return Failed(self._only, "died", "its first words were lost on the way")
        if member is None:
            return event
        if isinstance(event, Predictor) and not _is_finite(event):
            evidence = f"predictor {event.index} of {event.origin}: weights or predictions are not finite"
            return Diverged(event.member, evidence)
        if isinstance(event, Predictor | Finished) and not member.started:
            return Failed(self._only, "died", "its first words were lost on the way")
        if isinstance(event, Finished) and (missing := expected_files(member.plan) - member.files.keys()):
            self._distrusted = True
            what = f"what member {member.plan.name} sent was lost on the way: {', '.join(sorted(missing))}"
            return Failed(self._only, "died", what)
        return event

    def record(self, event: Event) -> bool:
        """Write what an event brings; True where nothing more is wanted.

        Raises:
            RunError: the worker has another fingerprint, and ``strict`` was asked for.
            DiskError: a write was refused.
        """
        store = self._store
        if isinstance(event, Checkpoint):
            files = {
                self._prefix(member.plan) + name: digest
                for member in self._left.values()
                for name, digest in member.files.items()
            }
            store.checkpoints(*self._plans).save(event.state, self._fingerprints, files)
            return False
        member = self._member_of(event)
        if member is None:
            return False  # done in an earlier attempt, and trained again only because the others are not
        if isinstance(event, Started):
            self._note_fingerprint(member, event.fingerprint)
            store.log(
                "started",
                member=event.member,
                attempt=self.number,
                host=event.host,
                pid=event.pid,
                device=event.device,
                resumed_epoch=event.resumed_epoch,
            )
        elif isinstance(event, Progress):
            store.log(
                "epoch",
                member=event.member,
                epoch=event.epoch,
                epochs=event.epochs,
                loss=event.loss,
                metric=event.metric,
                seconds=round(event.seconds, 4),
            )
        elif isinstance(event, Predictor):
            member.files |= store.save_predictor(event)
        elif isinstance(event, Finished):
            store.commit_member(
                member.plan, event, member.files, attempts=self.number, fingerprints=self._fingerprints
            )
            store.log("finished", member=event.member, attempt=self.number, seconds=round(event.seconds, 3))
            self._let_go(event.member)
        elif isinstance(event, Diverged):
            self._log_failure(event.member, "diverged", event.evidence, "give_up", DIVERGES_AGAIN)
            self._give_up(event.member, "diverged", event.evidence)
        return not self._left

    def fail(self, failed: Failed, *, retries: int) -> float | None:
        """Seconds until the next attempt; None where what is left was given up."""
        decision = decide(failed.cause, attempts=self.number, retries=retries)
        for index in list(self._left):
            self._log_failure(index, failed.cause, failed.evidence, decision.action, decision.reason)
            if decision.action == "give_up":
                self._give_up(index, failed.cause, failed.evidence)
        return decision.delay if decision.action == "retry" else None

    def _member_of(self, event: Event) -> _Member | None:
        return self._left.get(event.member) if isinstance(event, OfMember) else None

    def _log_failure(self, member: int, cause: str, evidence: str, decision: str, reason: str) -> None:
        self._store.log(
            "failed",
            member=member,
            attempt=self.number,
            cause=cause,
            evidence=evidence,
            decision=decision,
            reason=reason,
        )

    def _give_up(self, index: int, cause: str, evidence: str) -> None:
        self._store.fail_member(index, cause=cause, evidence=evidence, attempts=self.number)
        self._let_go(index)

    def _let_go(self, index: int) -> None:
        """Nothing more is wanted of this member; what a stack went on from goes when all its members are done."""
        del self._left[index]
        if not self._left:
            self._store.forget_stack(self._plans)

    def _note_fingerprint(self, member: _Member, fingerprint: dict[str, Any]) -> None:
        before = self._fingerprints[-1] if self._fingerprints else self._expected
        if self._strict and before is not None and before != fingerprint:
            raise RunError(
                f"member {member.plan.name} would go on under something else: "
                f"{'; '.join(differences(before, fingerprint))}. Leave out --strict to go on all the same, "
                "and have the member marked as mixed"
            )
        if fingerprint not in self._fingerprints:
            self._fingerprints.append(fingerprint)
        member.started = True

    def _prefix(self, plan: MemberPlan) -> str:
        """Of the member's files in a checkpoint: a stack's are named from the directory of all members."""
        return "" if len(self._plans) == 1 else f"{plan.name}/"

    @property
    def _only(self) -> int | None:
        return self._plans[0].index if len(self._plans) == 1 else None

    @property
    def _names(self) -> str:
        names = [member.plan.name for member in self._left.values()]
        return f"member {names[0]} was" if len(names) == 1 else f"members {', '.join(names)} were"


DIVERGES_AGAIN = "the same seed would diverge again"


def expected_files(plan: MemberPlan) -> set[str]:
    """Predictions without which a member is not finished."""
    counts: dict[Origin, int] = {
        "members": 1,
        "snapshots": plan.train.snapshots,
        "heads": plan.net.heads if plan.net.heads > 1 else 0,
        "dropout": plan.dropout_samples,
        "averaged": 1 if plan.train.swa > 0 else 0,
    }
    return {predictor_files(origin, i)[1] for origin, count in counts.items() for i in range(count)}


def _is_finite(predictor: Predictor) -> bool:
    arrays = [*predictor.predictions.values(), *(predictor.weights or {}).values()]
    return all(np.isfinite(array).all() for array in arrays if np.issubdtype(array.dtype, np.floating))
