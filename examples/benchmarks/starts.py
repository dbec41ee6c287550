"""What importing torch, and starting Ray with workers that import it, cost by themselves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from examples.benchmarks.cases import Case
from examples.benchmarks.outcome import Outcome


def import_torch(case: Case, path: Path, jobs: int) -> Outcome:
    """In one process."""
    import torch

    torch.ones(1)
    return Outcome(time.time(), time.time())


def ray_and_torch(case: Case, path: Path, jobs: int) -> Outcome:
    """Ray, and an actor a job that has torch."""
    import ray  # noqa: TID251

    class Worker:
        def ready(self) -> float:
            import torch

            torch.ones(1)
            return time.time()

    # "local": never a cluster that happens to run on this machine.
    ray.init("local", num_cpus=jobs, include_dashboard=False, log_to_driver=False)
    actor: Any = ray.remote(num_cpus=1)(Worker)
    workers = [actor.remote() for _ in range(jobs)]
    ready = max(ray.get([worker.ready.remote() for worker in workers]))
    ray.shutdown()
    return Outcome(ready, ready)
