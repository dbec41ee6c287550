"""What a pool runs: two kinds of task, and the one function that carries either out on a worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ensemble.data.dataset import Dataset
from ensemble.members.plan import MemberPlan
from ensemble.training.events import Event, TrainState, Weights
from ensemble.training.memory import keep_freed_memory

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Train:
    """Train one member, or a stack of them whose composition is fixed before launch."""

    plans: tuple[MemberPlan, ...]
    state: TrainState | None = None
    checkpoint_every: float = 60.0

    @property
    def key(self) -> str:
        return "train/" + "+".join(plan.name for plan in self.plans)


@dataclass(frozen=True)
class Score:
    """Predict with given weights on a worker's device; with ``refresh``, re-estimate batch norm first."""

    name: str
    plan: MemberPlan
    weights: Weights
    parts: tuple[str, ...] = ("valid", "test")
    refresh: bool = False

    @property
    def key(self) -> str:
        return f"score/{self.name}"


Task = Train | Score


def run_task(task: Task, data: Dataset) -> Iterator[tuple[Event, ...]]:
    """Carry out a task; what it has to say at once comes as one. Touches no disk; raises what the task raises.

    In between the task has torch's threads and default generator to itself; whoever takes the events
    finds both as they were. So tasks may take turns in one process, and the bits depend on none of it.
    """
    import torch  # here and below: heavy, and only needed where something is trained

    keep_freed_memory()
    events = _events(task, data)
    threads = (task.plan if isinstance(task, Score) else task.plans[0]).threads
    inside: list[torch.Tensor] | None = None
    while True:
        outside, threads_outside = _generator_states(), torch.get_num_threads()
        torch.set_num_threads(threads)
        if inside is not None:
            _set_generator_states(inside)
        try:
            said = next(events, None)
            inside = _generator_states()
        finally:
            _set_generator_states(outside)
            torch.set_num_threads(threads_outside)
        if said is None:
            return
        yield said


def _events(task: Task, data: Dataset) -> Iterator[tuple[Event, ...]]:
    from ensemble.training.loop import train_member
    from ensemble.training.score import score
    from ensemble.training.stacked import train_stack

    if isinstance(task, Score):
        yield (score(task.plan, task.weights, data, parts=task.parts, refresh=task.refresh),)
        return
    of_task: dict[str, Any] = {"state": task.state, "checkpoint_every": task.checkpoint_every}
    if len(task.plans) == 1:
        yield from ((event,) for event in train_member(task.plans[0], data, **of_task))
        return
    yield from train_stack(task.plans, data, **of_task)


def _generator_states() -> list[torch.Tensor]:
    import torch

    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]


def _set_generator_states(states: list[torch.Tensor]) -> None:
    import torch

    torch.set_rng_state(states[0])
    if states[1:]:
        torch.cuda.set_rng_state_all(states[1:])
