from __future__ import annotations

import numpy as np

from ensemble.combining.predictions import vote
from ensemble.evaluation.notable import SHOWN, notable_classes, notable_values
from ensemble.evaluation.uncertainty import classification_uncertainty
from tests.evaluation.scenarios import gaussians, probabilities


def test_mistakes_are_wrong_and_come_by_confidence() -> None:
    p, y = probabilities(3, 200, 4)
    mean = p.mean(axis=0)
    total = classification_uncertainty(p).total
    assert total is not None
    found = notable_classes(mean, y, total=total, shares=vote(p).shares)
    assert len(found["mistakes"]) == len(found["uncertain"]) == SHOWN
    assert all(one["true"] != one["predicted"] for one in found["mistakes"])
    confidence = [one["confidence"] for one in found["mistakes"]]
    assert confidence == sorted(confidence, reverse=True)
    assert confidence[0] == mean.max(axis=1)[mean.argmax(axis=1) != y].max()
    assert found["uncertain"][0]["row"] == total.argmax()
    assert all(one["top"][0] == [one["predicted"], one["confidence"]] for one in found["mistakes"])
    assert all(0 <= one["agree"] <= 1 for one in found["mistakes"])


def test_no_mistakes_are_no_rows() -> None:
    found = notable_classes(np.eye(3), np.arange(3), total=np.zeros(3), shares=np.eye(3))
    assert found["mistakes"] == []
    assert len(found["uncertain"]) == 3


def test_surprise_is_measured_in_the_rows_own_width() -> None:
    y = np.array([10.0, 10.0])
    mean = np.array([[12.0, 100.0], [11.0, 0.01]])
    found = notable_values(mean, y, epistemic=np.zeros(2))
    assert [one["row"] for one in found["mistakes"]] == [1, 0]
    assert [one["row"] for one in found["uncertain"]] == [0, 1]
    plain = notable_values(mean[:, :1], y, epistemic=np.array([1.0, 4.0]))
    assert [one["row"] for one in plain["mistakes"]] == [0, 1]
    assert plain["uncertain"][0]["row"] == 1
    assert plain["uncertain"][0]["std"] is None


def test_fewer_rows_than_are_shown() -> None:
    (values,), y = gaussians(1, 1)
    assert len(notable_values(values, y, epistemic=np.zeros(1))["mistakes"]) == 1
