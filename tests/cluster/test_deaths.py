"""Why a worker died."""

from __future__ import annotations

import pytest
from ray.exceptions import RayError

from cluster.deaths import diagnose


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("The actor is dead because its worker process has died. ... killed by the OOM killer", "died"),
        (
            "Task was killed due to the node running low on memory. Memory on the node was 15/16",
            "out_of_memory",
        ),
        ("The actor is dead because its node has died. Node Id: ab12", "node_lost"),
    ],
)
def test_deaths_are_told_apart(text: str, cause: str) -> None:
    told, evidence = diagnose(text, killed=False, kind=RayError)
    assert told == cause
    assert text[:40] in evidence
    assert diagnose(text, killed=True, kind=RayError)[0] == "hung"
