"""What runs inside a Ray actor. Nothing here is imported from the project before the driver's search path is set.

The class travels by value (see ``ray_pool``): a worker must find the user's modules and this very source tree, also
where neither is installed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any


class MemberActor:
    """One worker process, warm from task to task: torch imported, threads set, data at hand."""

    def __init__(self) -> None:
        """Over at once: what takes long is `prepare`'s, and who hangs in there is known by then and can be ended."""
        _die_with_parent()
        self._run: Callable[[Any, Any], Iterator[tuple[Any, ...]]]
        self._shared: Any = None
        self._data: Any = None

    def hello(self) -> dict[str, Any]:
        """Who the worker is. It answers once it is free."""
        import ray

        context = ray.get_runtime_context()
        return {"pid": os.getpid(), "host": os.uname().nodename, "node": context.get_node_id()}

    def prepare(self, search_path: list[str], *, threads: int, gpus: float, run: bytes) -> None:
        """Import what tasks need, and set torch's threads."""
        sys.path[:] = [*search_path, *(entry for entry in sys.path if entry not in search_path)]
        if gpus == 0:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        import torch

        torch.set_num_threads(threads)
        from ray import cloudpickle

        self._run = cloudpickle.loads(run)

    def sees(self, file: Any) -> bool:
        """Whether a `MappedFile` is the same on this node."""
        here: bool = file.is_here()
        return here

    def run(self, task: Any, member: int | None, shared: list[Any]) -> Iterator[tuple[Any, ...]]:
        """The task's events, those that come at once as one; an exception is the last, as a failure of ``member``.

        ``shared`` holds the reference to the data, in a list so that it comes here unresolved and is kept, and the file
        to map the rows from, or None: the arrays are read-only views of the one copy on this node.
        """
        import dataclasses
        import traceback

        import ray

        from ensemble.training.events import Failed

        try:
            if self._shared != shared[0]:
                data = ray.get(shared[0])
                self._data = data if shared[1] is None else dataclasses.replace(data, x=shared[1].open())
                self._shared = shared[0]
            # Not `yield from`: Ray sends values into the generator, which an iterator does not take.
            for said in self._run(task, self._data):  # noqa: UP028
                yield said
        except Exception as error:
            cause: Any = "out_of_memory" if is_out_of_memory(error) else "raised"
            yield (Failed(member, cause, traceback.format_exc()),)


def is_out_of_memory(error: BaseException) -> bool:
    """Python's and torch's, whose errors are plain RuntimeErrors but for that of its own allocator on a GPU.

    A GPU that several processes share may have none left for what CUDA and its libraries take for themselves.
    """
    said = ("not enough memory", "out of memory", "STATUS_ALLOC_FAILED")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in said)
    )


def kill_worker(pid: int) -> None:
    """SIGKILL, which also ends a stopped process, as ``ray.kill`` does not; only to what is still a Ray worker."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if not file.read().startswith(b"ray::"):
                return
    except FileNotFoundError:
        return
    os.kill(pid, signal.SIGKILL)


def _die_with_parent() -> None:
    """Linux: be killed when the raylet dies. Otherwise a worker trains on until its task ends."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
