"""Where an ensemble is trained: this process alone, a Ray of its own, or a running cluster.

The only package that knows Ray, and it imports it only when Ray is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ensemble.config import ExecutionConfig

if TYPE_CHECKING:
    from ensemble.runs.pool import Pool

__all__ = ["import_engine", "open_pool"]


def import_engine(execution: ExecutionConfig) -> None:
    """Import Ray where it is asked for: half a second in which nothing is started yet."""
    if execution.pool == "ray":
        import cluster.ray_pool  # noqa: F401


def open_pool(execution: ExecutionConfig, *, members: int) -> Pool:
    """An open pool, to be closed by the caller. With Ray, to be called on the main thread.

    Args:
        execution: Pool, address, workers and what a member gets.
        members: Size of the ensemble: more workers would idle.

    Raises:
        UsageError: what was asked for does not fit or may not be joined; nothing was started.
        ClusterLostError: Ray did not start.
    """
    if execution.pool == "serial":
        from ensemble.runs.pool import SerialPool

        return SerialPool()
    from cluster.ray_pool import RayPool
    from cluster.resources import plan_workers, threads_of
    from cluster.session import start

    environment = {
        "OMP_NUM_THREADS": str(threads_of(execution)),
        # Read when CUDA starts; without it, matrix products on GPUs differ from run to run.
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }
    session = start(execution, worker_environment=environment)
    try:
        plan = plan_workers(execution, members=members, nodes=session.nodes)
        return RayPool(session, plan, worker_environment=environment)
    except BaseException:
        session.close()
        raise
