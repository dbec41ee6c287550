"""Index vectors: bootstrap, disjoint parts, heads."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.errors import UsageError
from ensemble.members.resampling import head_counts, training_rows, unseen_rows
from tests.scenarios import blobs, plans_for

TRAIN = np.arange(5, 60_005)


def test_no_resampling_is_all_rows_in_order() -> None:
    plan = plans_for(blobs())[0]
    assert training_rows(plan, TRAIN) is TRAIN
    assert unseen_rows(plan, TRAIN) is None


def test_bootstrap_leaves_out_a_share_of_0_368() -> None:
    for plan in plans_for(blobs(), resample="bootstrap", members=3):
        drawn, unseen = training_rows(plan, TRAIN), unseen_rows(plan, TRAIN)
        assert unseen is not None
        assert len(drawn) == len(TRAIN)
        assert len(unseen) / len(TRAIN) == pytest.approx(0.368, abs=0.006)
        assert not np.isin(unseen, drawn).any()
        assert len(unseen) + len(np.unique(drawn)) == len(TRAIN)


def test_members_draw_differently_and_always_the_same() -> None:
    first, second = plans_for(blobs(), resample="bootstrap")
    assert not np.array_equal(training_rows(first, TRAIN), training_rows(second, TRAIN))
    assert np.array_equal(training_rows(first, TRAIN), training_rows(first, TRAIN))


def test_disjoint_parts_cover_everything_once() -> None:
    parts = [training_rows(plan, TRAIN) for plan in plans_for(blobs(), resample="disjoint", members=7)]
    assert np.array_equal(np.sort(np.concatenate(parts)), TRAIN)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_more_members_than_rows_are_refused() -> None:
    plan = plans_for(blobs(), resample="disjoint", members=7)[0]
    with pytest.raises(UsageError, match="7 members cannot share 5 training rows"):
        training_rows(plan, TRAIN[:5])


def test_heads_draw_their_own_rows_over_one_pass() -> None:
    plan = plans_for(blobs(), resample="bootstrap", heads=3)[0]
    counts = head_counts(plan, TRAIN)
    assert counts is not None
    assert counts.shape == (3, len(TRAIN))
    assert (counts.sum(axis=1) == len(TRAIN)).all()
    assert not np.array_equal(counts[0], counts[1])
    assert training_rows(plan, TRAIN) is TRAIN
    unseen = unseen_rows(plan, TRAIN)
    assert unseen is not None
    assert len(unseen) / len(TRAIN) == pytest.approx(0.368**3, abs=0.006)
