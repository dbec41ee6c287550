"""Attempts at a member: what is done with each word of one, and what an attempt stands on."""

from __future__ import annotations

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
    Event,
    Failed,
    Finished,
    Origin,
    Predictor,
    Progress,
    Started,
)
from ensemble.training.tasks import Train


class Attempt:
    """The attempts at one member, one after the other. What they bring is committed here and nowhere else.

    Attributes:
        number: Of the attempt under way, from 1; attempts of earlier sessions are not counted.
    """

    def __init__(
        self,
        plan: MemberPlan,
        store: RunStore,
        *,
        expected: dict[str, Any] | None = None,
        strict: bool = False,
    ) -> None:
        """
        Args:
            plan: The member.
            store: Where what it brings is committed.
            expected: The fingerprint that every worker should have, where one is known.
            strict: Refuse workers with another fingerprint than is expected or than the member had before.
        """
        self.number = 0
        self._plan, self._store = plan, store
        self._strict, self._expected = strict, expected
        self._files: dict[str, Digest] = {}
        self._fingerprints: list[dict[str, Any]] = []
        self._started = False
        self._distrusted = False

    def begin(self, *, checkpoint_every: float) -> Train:
        """The task of the next attempt, from the last good checkpoint; all that came after that is forgotten."""
        if self.number == 0:
            self._store.begin_member(self._plan)
        if self._distrusted:  # its checkpoints may come after what was lost
            self._store.set_checkpoints_aside(self._plan.index)
        found = self._store.last_checkpoint(self._plan)
        self.number += 1
        self._started = self._distrusted = False
        self._files = dict(found.files) if found else {}
        self._fingerprints = list(found.fingerprints) if found else []
        return Train((self._plan,), state=found.state if found else None, checkpoint_every=checkpoint_every)

    def objection(self, event: Event | None) -> Failed | None:
        """Why the attempt cannot be believed any further: what came is not finite, or something did not come."""
        member = self._plan.index
        if event is None:
            return Failed(member, "died", "its stream ended before the member was finished")
        if isinstance(event, Predictor) and not _is_finite(event):
            evidence = f"predictor {event.index} of {event.origin}: weights or predictions are not finite"
            return Failed(member, "diverged", evidence)
        if isinstance(event, Checkpoint | Predictor | Finished) and not self._started:
            return Failed(member, "died", "its first words were lost on the way")
        missing = sorted(expected_files(self._plan) - self._files.keys())
        if isinstance(event, Finished) and missing:
            self._distrusted = True
            return Failed(member, "died", f"what it sent was lost on the way: {', '.join(missing)}")
        return None

    def record(self, event: Event | None) -> bool:
        """Write what an event brings; True where the member is done with it.

        Raises:
            RunError: the worker has another fingerprint, and ``strict`` was asked for.
            DiskError: a write was refused.
        """
        plan, store = self._plan, self._store
        if isinstance(event, Started):
            self._note_fingerprint(event.fingerprint)
            store.log(
                "started",
                member=plan.index,
                attempt=self.number,
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
            store.save_checkpoint(plan, event, self._fingerprints, self._files)
        elif isinstance(event, Predictor):
            self._files |= store.save_predictor(event)
        elif isinstance(event, Finished):
            store.commit_member(
                plan, event, self._files, attempts=self.number, fingerprints=self._fingerprints
            )
            store.log("finished", member=plan.index, attempt=self.number, seconds=round(event.seconds, 3))
            return True
        return False

    def fail(self, failed: Failed, *, retries: int) -> float | None:
        """Seconds until the next attempt; None where the member was given up."""
        decision = decide(failed.cause, attempts=self.number, retries=retries)
        self._store.log(
            "failed",
            member=self._plan.index,
            attempt=self.number,
            cause=failed.cause,
            evidence=failed.evidence,
            decision=decision.action,
            reason=decision.reason,
        )
        if decision.action == "retry":
            return decision.delay
        self._store.fail_member(self._plan.index, failed, attempts=self.number)
        return None

    def _note_fingerprint(self, fingerprint: dict[str, Any]) -> None:
        before = self._fingerprints[-1] if self._fingerprints else self._expected
        if self._strict and before is not None and before != fingerprint:
            raise RunError(
                f"member {self._plan.name} would go on under something else: "
                f"{'; '.join(differences(before, fingerprint))}. Leave out --strict to go on all the same, "
                "and have the member marked as mixed"
            )
        if fingerprint not in self._fingerprints:
            self._fingerprints.append(fingerprint)
        self._started = True


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
