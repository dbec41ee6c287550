"""Why a worker died, from what Ray says of it. A pure function."""

from __future__ import annotations

import re

from ray.exceptions import ObjectLostError, OutOfMemoryError, RayError

from ensemble.training.events import Cause

LONGEST_EVIDENCE = 1500


def diagnose(said: str, *, killed: bool, kind: type[RayError]) -> tuple[Cause, str]:
    """The cause and its evidence. Ray's text offers the kernel's OOM killer as a guess at every death.

    Args:
        said: Ray's own words.
        killed: Whether the pool itself ended the worker, because it did not answer.
        kind: Of Ray's exception.
    """
    text = " ".join(said.split())
    detail = re.sub(r"^.*?(?=The actor is dead because)", "", text)[:LONGEST_EVIDENCE]
    if killed:
        return "hung", f"it did not answer and was killed. {detail}"
    if issubclass(kind, OutOfMemoryError) or "running low on memory" in text:
        return (
            "out_of_memory",
            f"{detail.partition(' Object store memory')[0]}; fewer at once (--workers) need less",
        )
    if issubclass(kind, ObjectLostError) or re.search(r"\bnode has died|owner's node", text, re.IGNORECASE):
        return "node_lost", detail
    return "died", detail
