"""Memory that a step frees is there for the next one, without the system clearing it again."""

from __future__ import annotations

import os
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
    """glibc begins with this threshold, and whether it then keeps more depends on what lies where in the heap: named,
    it stays. Without the function under test each page is a fault in every step."""
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    faults = {}
    for how in ("keep", "give back"):
        program = [sys.executable, "-c", FAULTS, how]
        said = subprocess.run(program, capture_output=True, check=True, text=True, env=environment)
        faults[how] = int(said.stdout)
    assert faults["keep"] < 100
    assert faults["give back"] > 10_000
