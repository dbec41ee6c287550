"""Memory that a step frees is there for the next one, without the system clearing it again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from ensemble.training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()

def step():
    layers = [torch.ones(2_000_000) for _ in range(8)]  # 8 MB each: 16,000 pages together

for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_steps_after_the_first_find_their_memory_in_place() -> None:
    faults = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", FAULTS, how], capture_output=True, check=True, text=True
            ).stdout
        )
        for how in ("keep", "default")
    }
    assert faults["keep"] < 100
    assert faults["default"] > 1000, "glibc keeps it by itself now: keep_freed_memory has no use any more"
