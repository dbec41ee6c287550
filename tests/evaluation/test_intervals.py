from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from ensemble.combining.predictions import average
from ensemble.errors import EnsembleError
from ensemble.evaluation import intervals as module
from ensemble.evaluation.intervals import compare, interval, intervals, mcnemar, resample, wilson
from ensemble.evaluation.metrics import Scores, score
from tests.evaluation.scenarios import gaussians, probabilities


def scored(*, rows: int = 400, seed: int = 0) -> tuple[Scores, Scores]:
    p, y = probabilities(5, rows, 3, seed=seed)
    return score(average(p), y, task="classification"), score(p[0], y, task="classification")


def test_intervals_agree_with_the_normal_approximation() -> None:
    mean, _ = scored(rows=2000)
    limits = intervals(resample([mean], seed=0)[0])["accuracy"]
    accuracy = mean.metrics()["accuracy"]
    assert limits is not None
    assert accuracy is not None
    half = 1.96 * np.sqrt(accuracy * (1 - accuracy) / 2000)
    np.testing.assert_allclose(limits, [accuracy - half, accuracy + half], atol=0.15 * half)


def test_every_metric_is_that_of_the_rows_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    p, y = probabilities(1, 30, 3)
    values, target = gaussians(1, 30)
    monkeypatch.setattr(module, "CHUNK", 60)  # two resamples at a time, so that chunks are joined
    found = resample(
        [score(p[0], y, task="classification"), score(values[0], target, task="regression")],
        seed=4,
        resamples=5,
    )
    random = module.generator(module.run_sequence(4, module.RunPurpose.REPORT))
    for at in range(5):
        rows = random.integers(0, 30, size=30)
        drawn = score(p[0][rows], y[rows], task="classification").metrics()
        drawn_values = score(values[0][rows], target[rows], task="regression").metrics()
        for expected, had in ((drawn, found[0]), (drawn_values, found[1])):
            for name, value in expected.items():
                assert had[name][at] == pytest.approx(value, abs=1e-12)  # type: ignore[index]


def test_the_seed_decides_and_one_row_has_no_width() -> None:
    mean, _ = scored()
    assert intervals(resample([mean], seed=1)[0]) == intervals(resample([mean], seed=1)[0])
    assert intervals(resample([mean], seed=1)[0]) != intervals(resample([mean], seed=2)[0])
    low, high = intervals(resample([scored(rows=1)[0]], seed=0)[0])["nll"] or []
    assert low == high


def test_interval_is_the_central_95_percent() -> None:
    assert interval(np.arange(1001.0)) == pytest.approx([25, 975])


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 5))
def test_mcnemar_is_the_exact_binomial_test(b: int, c: int, both: int) -> None:
    first = np.array([1.0] * b + [0.0] * c + [1.0] * both)
    second = np.array([0.0] * b + [1.0] * c + [1.0] * both)
    expected = scipy.stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, abs=1e-12)
    assert mcnemar(second, first) == mcnemar(first, second)


def test_a_paired_difference_is_narrower_than_the_intervals_it_is_made_of() -> None:
    mean, single = scored()
    found = compare(mean, single, seed=0)
    low, high = found["difference"]["nll"]["ci95"]
    alone = intervals(resample([mean], seed=0)[0])["nll"]
    assert alone is not None
    assert low < found["difference"]["nll"]["value"] < high < 0
    assert high - low < alone[1] - alone[0]
    assert 0 < found["mcnemar_p"] <= 1


def test_a_combiner_does_not_differ_from_itself() -> None:
    mean, _ = scored()
    found = compare(mean, mean, seed=0)
    assert found["mcnemar_p"] == 1
    assert all(one == {"value": 0, "ci95": [0, 0]} for one in found["difference"].values())


def test_only_shared_metrics_are_compared_and_regression_has_no_mcnemar() -> None:
    values, y = gaussians(1, 30)
    whole, means = score(values[0], y, task="regression"), score(values[0, :, :1], y, task="regression")
    found = compare(whole, means, seed=0)
    assert set(found["difference"]) == {"rmse", "mae"}
    assert found["mcnemar_p"] is None


def test_other_rows_are_refused() -> None:
    with pytest.raises(EnsembleError, match="40 and 50"):
        compare(scored(rows=40)[0], scored(rows=50)[0], seed=0)


@given(st.integers(0, 200), st.integers(1, 200))
def test_wilson_is_that_of_scipy(successes: int, more: int) -> None:
    trials = successes + more - 1 or 1
    expected = scipy.stats.binomtest(min(successes, trials), trials).proportion_ci(method="wilson")
    assert wilson(min(successes, trials), trials) == pytest.approx([expected.low, expected.high], abs=1e-10)
