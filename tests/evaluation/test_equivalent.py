from __future__ import annotations

import numpy as np
import pytest

from ensemble.combining.predictions import average
from ensemble.evaluation.equivalent import calibrated_log_likelihood, deep_ensemble_equivalent, member_curve
from tests.evaluation.scenarios import probabilities

P, Y = probabilities(8, 900, 4, seed=1)
VALID, TEST = slice(0, 300), slice(300, 900)
TARGETS = {"valid_y": Y[VALID], "test_y": Y[TEST]}
CURVE = member_curve(P[:, VALID], P[:, TEST], rows=np.arange(300), seed=0, **TARGETS)


def test_more_members_have_a_higher_calibrated_log_likelihood() -> None:
    assert CURVE.sizes == tuple(range(1, 9))
    assert CURVE.log_likelihood[0] < CURVE.log_likelihood[3] < CURVE.log_likelihood[7]


def test_all_members_are_worth_themselves() -> None:
    found = deep_ensemble_equivalent(CURVE, average(P[:, VALID]), average(P[:, TEST]), **TARGETS)
    assert found["members"] == pytest.approx(8, abs=0.3)


def test_copies_of_one_member_are_worth_about_one() -> None:
    one = np.repeat(P[:1], 5, axis=0)
    found = deep_ensemble_equivalent(CURVE, average(one[:, VALID]), average(one[:, TEST]), **TARGETS)
    assert found["members"] < 2


def test_beyond_both_ends_it_says_so() -> None:
    worthless = np.full((1, 900, 4), 0.25)
    found = deep_ensemble_equivalent(
        CURVE, average(worthless[:, VALID]), average(worthless[:, TEST]), **TARGETS
    )
    assert found == {"members": 1, "relation": "<="}
    perfect = np.eye(4)[Y][None] * 0.96 + 0.01
    found = deep_ensemble_equivalent(CURVE, average(perfect[:, VALID]), average(perfect[:, TEST]), **TARGETS)
    assert found == {"members": 8, "relation": ">="}


def test_it_lies_between_the_sizes_around_it() -> None:
    for count in (2, 4):
        found = deep_ensemble_equivalent(
            CURVE, average(P[:count, VALID]), average(P[:count, TEST]), **TARGETS
        )
        ours = calibrated_log_likelihood(
            P[:count, VALID].mean(axis=0), P[:count, TEST].mean(axis=0), **TARGETS
        )
        below, above = int(np.floor(found["members"])), int(np.ceil(found["members"]))
        assert CURVE.log_likelihood[below - 1] <= ours <= CURVE.log_likelihood[above - 1]


def test_calibration_forgives_a_wrong_temperature() -> None:
    sharp = P[0] ** 3 / (P[0] ** 3).sum(axis=1, keepdims=True)
    ours = [calibrated_log_likelihood(p[VALID], p[TEST], **TARGETS) for p in (P[0], sharp)]
    assert ours[0] == pytest.approx(ours[1], abs=1e-3)
