"""What runs in an actor and needs no Ray to be looked at."""

from __future__ import annotations

import pytest
import torch

from cluster.worker import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of …"
        ),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: not enough memory: you tried …"
        ),
    ],
)
def test_memory_runs_out_in_several_words(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [ValueError("out of memory"), RuntimeError("CUDA error: device-side assert triggered")]
)
def test_other_errors_are_told_apart(error: Exception) -> None:
    assert not is_out_of_memory(error)
