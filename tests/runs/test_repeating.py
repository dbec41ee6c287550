"""Tasks that leave nothing behind are tried again by the same rule as members."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ensemble.errors import EnsembleError
from ensemble.runs import attempts, repeating
from ensemble.runs.coordinator import run_ensemble
from ensemble.runs.retry import Decision, decide
from ensemble.training.events import Event, Failed
from ensemble.training.tasks import Task
from tests.runs.pools import ScriptedPool
from tests.runs.test_coordinator import new_store
from tests.scenarios import blobs, config_for


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(*args: object, **options: object) -> Decision:
        decision = decide(*args, **options)  # type: ignore[arg-type]
        return Decision(decision.action, 0.0, decision.reason)

    for module in (attempts, repeating):
        monkeypatch.setattr(module, "decide", at_once)


def dies(times: int) -> ScriptedPool:
    def behave(task: Task, attempt: int, events: Iterator[Event]) -> Iterator[Event]:
        if task.key.startswith("score/") and attempt <= times:
            return iter([Failed(None, "died", "exit code 137")])
        return events

    return ScriptedPool(behave)


def test_a_worker_that_dies_while_it_judges_an_average_costs_nothing(tmp_path: object) -> None:
    """Without ``RepeatingPool`` one death after hours of training ended the run with exit code 1."""
    data = blobs()
    store = new_store(tmp_path / "run", data, config_for(data))  # type: ignore[operator]
    pool = dies(2)
    report = run_ensemble(store, data, pool, lambda message: None, store.record.config.execution)
    assert "parameters" in report["combined"]
    assert [attempt for key, attempt, _ in pool.submitted if key.startswith("score/")] == [1, 2, 3]


def test_it_is_given_up_with_its_evidence(tmp_path: object) -> None:
    data = blobs()
    store = new_store(tmp_path / "run", data, config_for(data))  # type: ignore[operator]
    with pytest.raises(EnsembleError, match="exit code 137"):
        run_ensemble(store, data, dies(9), lambda message: None, store.record.config.execution)
