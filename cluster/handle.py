"""A worker and an attempt as the driver sees them: what was asked of it, what it has answered, what it is doing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ensemble.runs.pool import Message
from ensemble.training.events import Cause, Event, Failed
from ensemble.training.tasks import Task, Train

Question = Literal["hello", "prepare", "sees"]


@dataclass(frozen=True)
class Attempt:
    """One attempt at a task."""

    task: Task
    number: int

    @property
    def member(self) -> int | None:
        task = self.task
        return task.plans[0].index if isinstance(task, Train) and len(task.plans) == 1 else None

    def says(self, event: Event | None) -> Message:
        return Message(self.task.key, self.number, event)

    def failed(self, cause: Cause, evidence: str) -> Message:
        return self.says(Failed(self.member, cause, evidence))


class Worker:
    """One actor and what it is doing: answering a question (``pending``), running a task (``stream``, and the
    ``reference`` of an event that is on its way from another node), or nothing.

    Attributes:
        takes_gpu: Whether it is one of those that hold a GPU, where members take any.
        answers: What it has said, by question.
        answer_by: When it is given up, in the seconds of ``time.monotonic``; None where it may take any time.
    """

    def __init__(self, actor: Any, *, takes_gpu: bool, arguments: Mapping[str, Any]) -> None:
        self.actor = actor
        self.takes_gpu = takes_gpu
        self.answers: dict[Question, Any] = {}
        self.answer_by: float | None = None
        self.stream: Any = None
        self.reference: Any = None
        self.attempt: Attempt | None = None
        self.killed = False
        # For its place it may wait for as long as the cluster is full, so the first answer has no bound. Both are asked
        # at once, so that torch is imported while the caller loads the data.
        self._question: Question = "hello"
        self.pending: Any = actor.hello.remote()
        self._preparing = actor.prepare.remote(**arguments)

    def ask(self, question: Question, *arguments: Any, within: float) -> None:
        """Put a question, to be answered within so many seconds."""
        self._wait_for(question, getattr(self.actor, question).remote(*arguments), within=within)

    def hear(self, answer: Any, *, patience: float) -> None:
        """Take the answer in; after the first one the worker has ``patience`` seconds to get ready."""
        self.answers[self._question] = answer
        self.pending = self.answer_by = None
        if not self.ready and self._question == "hello":
            self._wait_for("prepare", self._preparing, within=patience)

    @property
    def ready(self) -> bool:
        """Whether it has said that it can take tasks."""
        return "prepare" in self.answers

    @property
    def identity(self) -> dict[str, Any]:
        """Its pid, host and node; empty before it has a place in the cluster."""
        identity: dict[str, Any] = self.answers.get("hello", {})
        return identity

    @property
    def free(self) -> bool:
        return self.pending is None and self.attempt is None

    @property
    def source(self) -> Any:
        """What to wait for."""
        return next(source for source in (self.pending, self.reference, self.stream) if source is not None)

    def _wait_for(self, question: Question, reference: Any, *, within: float) -> None:
        self._question, self.pending = question, reference
        self.answer_by = time.monotonic() + within

    def __str__(self) -> str:
        if not self.identity:
            return "a worker that had not started yet"
        return (
            f"worker pid {self.identity['pid']} on {self.identity['host']} (node {self.identity['node'][:8]})"
        )
