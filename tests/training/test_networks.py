"""The device of a process, and how it is set up."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, sys
import torch
from ensemble.training.networks import choose_device
torch.cuda.is_available = lambda: True  # a GPU is chosen and set up without being touched
print(choose_device())
print(os.environ["CUBLAS_WORKSPACE_CONFIG"])
print(torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled())
print(torch.utils.deterministic.fill_uninitialized_memory)
print(torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32)
print("torch._dynamo" in sys.modules)
"""


def test_a_gpu_computes_the_same_bits_again_and_float32_as_float32() -> None:
    """And torch's compiler is left alone: fails with ``torch.use_deterministic_algorithms``, which imports it."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, check=True, text=True
    )
    assert done.stdout.splitlines() == ["cuda", ":4096:8", "True False", "False", "False False", "False"]
