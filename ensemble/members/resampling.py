"""Which training rows a member sees: index vectors regenerated from seeds, never a copy of the data."""

from __future__ import annotations

import numpy as np

from ensemble.data.dataset import Rows
from ensemble.errors import UsageError
from ensemble.members.plan import MemberPlan
from ensemble.streams import Purpose, RunPurpose, generator, member_sequence, run_sequence


def training_rows(plan: MemberPlan, train: Rows) -> Rows:
    """Rows the member is trained on, one entry a draw.

    ``none`` and networks with several heads: all rows. ``bootstrap``: N draws with replacement, so a row may come
    several times and P(row is out of bag) = (1 − 1/N)^N → 0.368. ``disjoint``: the member's own part of one
    permutation that all members share.

    Raises:
        UsageError: more members than rows in ``disjoint``.
    """
    if plan.resample == "disjoint":
        return _own_part(plan, train)
    if plan.resample == "none" or plan.net.heads > 1:
        return train
    drawn: Rows = train[_draws(plan, len(train))]
    return drawn


def head_counts(plan: MemberPlan, train: Rows) -> np.ndarray | None:
    """How often each head sees each training row: ``(heads, rows)`` int64, or None where all see all.

    Heads share one trunk and so one pass over the rows; a bootstrap of their own is a weight in their loss.
    """
    if plan.net.heads == 1 or plan.resample != "bootstrap":
        return None
    n = len(train)
    return np.stack([np.bincount(_draws(plan, n, head), minlength=n) for head in range(plan.net.heads)])


def unseen_rows(plan: MemberPlan, train: Rows) -> Rows | None:
    """Training rows that the member never saw, sorted; None where it saw all (``none``).

    With heads under bootstrap a row is unseen only where no head saw it.
    """
    if plan.resample == "none":
        return None
    counts = head_counts(plan, train)
    if counts is not None:
        unseen: Rows = train[counts.sum(axis=0) == 0]
        return unseen
    return np.setdiff1d(train, training_rows(plan, train))


def _draws(plan: MemberPlan, n: int, *head: int) -> np.ndarray:
    stream = generator(member_sequence(plan.seed, plan.index, Purpose.RESAMPLE, *head))
    return stream.integers(0, n, size=n)


def _own_part(plan: MemberPlan, train: Rows) -> Rows:
    assert plan.parts is not None
    if plan.parts > len(train):
        raise UsageError(f"resample disjoint: {plan.parts} members cannot share {len(train)} training rows")
    order = generator(run_sequence(plan.seed, RunPurpose.PARTS)).permutation(len(train))
    own: Rows = train[np.sort(np.array_split(order, plan.parts)[plan.index])]
    return own
