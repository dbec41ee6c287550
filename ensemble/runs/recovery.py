"""What a session finds in a run directory: what is done, what is damaged, what is left to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ensemble.data.dataset import Dataset
from ensemble.errors import RunError
from ensemble.members.plan import MemberPlan, trained_together
from ensemble.runs.records import MemberRecord
from ensemble.runs.store import RunStore, plan_digest

Stack = tuple[MemberPlan, ...]
"""Members that are trained together; most often one."""


@dataclass(frozen=True)
class Found:
    """Members by what is known of them, of most without reading more than manifests and sizes."""

    unfinished: list[tuple[Stack, frozenset[int]]]
    """Stacks of which something is left to do, and the members that are not done."""
    finished: list[Stack]
    """Done, by their manifests and the sizes of their files; whether the digests agree is left to be seen."""
    fingerprint: dict[str, Any] | None
    """Under which a finished member was trained."""


def recover(plans: Sequence[MemberPlan], store: RunStore, data: Dataset) -> Found:
    """Clear away what a crash left, set damaged members aside, and tell what is left to do.

    Quick, whatever the members weigh: digests are checked later, while workers are at work; only where a stack has to
    be trained again for some of its members are those of the others read at once.

    Raises:
        RunError: a member was begun with another plan than the configuration says now; the message has the
            differences. Nothing was changed.
    """
    for plan in plans:
        _refuse_other_plan(plan, store)
    store.sweep()
    store.restore_targets(data)
    store.set_damaged_averages_aside()
    found = Found([], [], None)
    for stack in trained_together(plans):
        records = {plan.index: record for plan in stack if (record := _finished(plan, store)) is not None}
        left = frozenset(plan.index for plan in stack) - records.keys()
        if left:
            done = [plan for plan in stack if plan.index in records]
            found.unfinished.append((stack, left | not_sound(done, store)))
        else:
            found.finished.append(stack)
        if records and found.fingerprint is None:
            found = replace(found, fingerprint=next(iter(records.values())).fingerprint)
    return found


def not_sound(finished: Sequence[MemberPlan], store: RunStore) -> frozenset[int]:
    """Which of these finished members have a file without its digest; they are set aside to be trained again."""
    damaged = set()
    for plan in finished:
        record = store.member(plan.index)
        assert record is not None
        try:
            store.check_digests(record)
        except RunError as error:
            store.set_member_aside(plan.index, evidence=str(error))
            damaged.add(plan.index)
        else:
            store.forget_attempts(plan)  # a crash right after its commit left them
    return frozenset(damaged)


def is_intact(store: RunStore) -> bool:
    """Whether a run that calls itself finished holds what it says, every byte of it. Reads only."""
    try:
        for plan in store.plans:
            record = store.member(plan.index)
            if record is not None:
                store.check_digests(record)
        store.targets()
        store.report()
    except RunError:
        return False
    return True


def differences(made_with: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """``path: value there, value here`` for every value in which two JSON objects differ."""
    return list(_differences(made_with, now, ""))


def _differences(there: Any, here: Any, path: str) -> Iterator[str]:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted({*there, *here}):
            yield from _differences(there.get(key), here.get(key), f"{path}.{key}" if path else key)
    elif there != here:
        yield f"{path} was {there!r}, is {here!r}"


def _refuse_other_plan(plan: MemberPlan, store: RunStore) -> None:
    try:
        begun = store.begun(plan.index)
    except RunError:
        return  # it is written anew before the member is trained
    if begun is not None and begun != (now := plan.model_dump(mode="json")):
        raise RunError(
            f"member {plan.name} of run {str(store.root)!r} was begun with another configuration: "
            f"{'; '.join(differences(begun, now))}. Put config.json back, or train a new run"
        )


def _finished(plan: MemberPlan, store: RunStore) -> MemberRecord | None:
    try:
        record = store.member(plan.index)
        if record is None:
            return None
        if record.plan_sha256 != plan_digest(plan):
            raise RunError("its manifest belongs to another plan")
        store.check_sizes(record)
    except RunError as error:
        store.set_member_aside(plan.index, evidence=str(error))
        return None
    return record
