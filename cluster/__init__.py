"""Where an ensemble is trained: this process alone, a Ray of its own, or a running cluster.

The only package that knows Ray, and it imports it only when Ray is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemble.config import ExecutionConfig

if TYPE_CHECKING:
    from cluster.jobs import Job
    from ensemble.runs.pool import Pool

__all__ = ["find_job", "import_engine", "open_pool", "submit_job"]


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

        return SerialPool(at_once=_at_once_here(execution))
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
        plan = plan_workers(execution, members=members, nodes=session.nodes, elastic=not session.private)
        return RayPool(session, plan, worker_environment=environment)
    except BaseException:
        session.close()
        raise


def submit_job(
    address: str,
    arguments: Sequence[str],
    *,
    options: Mapping[str, Any],
    directory: Path,
    new_run: str | None,
    insecure: bool,
    say: Callable[[str], None],
) -> Job:
    """Run a command of ours as a job on a cluster, with the code and the small files that it names.

    Args:
        address: Of the cluster's dashboard, ``http://HOST:8265``.
        arguments: The command and its options.
        options: The same options by field: what they name in ``directory`` goes along.
        directory: The current one.
        new_run: Name of a run directory to be made on the head, if the arguments give none.
        insecure: Submit to a cluster beyond this machine though it asks for no token.
        say: Told what the user should know.

    Raises:
        UsageError: something named is not there or too large, or the cluster cannot or may not be submitted to.
        EnsembleError, ClusterLostError: the cluster refused the job, or went away.
    """
    from cluster.dashboard import open_dashboard
    from cluster.jobs import command_line, start_job
    from cluster.packing import pack

    package = pack(options, directory)
    dashboard = open_dashboard(address, insecure=insecure, say=say)
    return start_job(dashboard, package, command_line(arguments, new_run=new_run))


def find_job(address: str, job: str, *, insecure: bool, say: Callable[[str], None]) -> Job:
    """A job that was submitted earlier, from wherever.

    Raises:
        UsageError: the cluster cannot or may not be asked, or has no such job.
        ClusterLostError: it does not answer.
    """
    from cluster.dashboard import SilentError, open_dashboard
    from cluster.jobs import Job
    from ensemble.errors import ClusterLostError

    found = Job(open_dashboard(address, insecure=insecure, say=say), job)
    try:
        found.state()
    except SilentError as silent:
        raise ClusterLostError(f"the dashboard at {address} does not answer: {silent}; try again") from None
    return found


def _at_once_here(execution: ExecutionConfig) -> int:
    """Members that a private Ray would train at once on this machine: one a GPU, or one for each of its CPUs."""
    import os

    import torch

    return torch.cuda.device_count() or max(1, int(len(os.sched_getaffinity(0)) / execution.cpus_per_member))
