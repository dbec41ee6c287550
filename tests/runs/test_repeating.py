"""Tasks that leave nothing behind are tried again by the same rule as members."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ensemble.errors import EnsembleError
from ensemble.runs import attempts, repeating
from ensemble.runs.coordinator import run_ensemble
from ensemble.runs.pool import Message
from ensemble.runs.retry import Decision, decide
from ensemble.training.events import Event, Failed, Notice, Scored
from ensemble.training.tasks import Score, Task
from tests.runs.pools import ScriptedPool
from tests.runs.test_coordinator import new_store
from tests.scenarios import blobs, config_for, plans_for


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
    """Seen to fail without ``RepeatingPool`` in the coordinator: one death after hours of training ended the run with
    exit code 1."""
    data = blobs()
    store = new_store(tmp_path / "run", data, config_for(data))  # type: ignore[operator]
    pool = dies(2)
    report = run_ensemble(store, data, pool, lambda message: None, store.record.config.execution)
    assert "parameters" in report["combined"]
    assert [attempt for key, attempt, _ in pool.submitted if key.startswith("score/")] == [1, 2, 3]


def test_it_is_given_up_with_its_evidence(tmp_path: object) -> None:
    """Seen to fail (it never ended) when failures are kept back for ever."""
    data = blobs()
    store = new_store(tmp_path / "run", data, config_for(data))  # type: ignore[operator]
    with pytest.raises(EnsembleError, match="exit code 137"):
        run_ensemble(store, data, dies(9), lambda message: None, store.record.config.execution)


def test_what_the_pool_itself_says_is_passed_on() -> None:
    """Seen to fail without the exception for notices: they are of no task that is known."""

    class Waiting:
        workers = 1

        def submit(self, task: Task, *, attempt: int) -> None: ...

        def poll(self, timeout: float) -> list[Message]:
            return [Message("", 0, Notice("waiting for 1 GPU: 3 of 3 in use"))]

    assert len(repeating.RepeatingPool(Waiting(), retries=2).poll(0.0)) == 1


def test_a_late_word_of_an_attempt_that_is_over_is_not_passed_on() -> None:
    """Seen to fail without the comparison of attempts: an average would be committed twice."""

    class Late:
        workers = 1

        def submit(self, task: Task, *, attempt: int) -> None:
            told.extend(Message(task.key, number, Scored({}, {})) for number in range(1, attempt + 1))

        def poll(self, timeout: float) -> list[Message]:
            said, told[:] = list(told), []
            return said

    told: list[Message] = []
    pool = repeating.RepeatingPool(Late(), retries=2)
    (plan, _) = plans_for(blobs())
    pool.submit(Score("averaged", plan, {}, (), refresh=False), attempt=2)
    assert [message.attempt for message in pool.poll(0.0)] == [2]
