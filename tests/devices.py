"""Devices on which a test runs: the CPU, so that the test itself is known to be right, and a GPU where there is one."""

from __future__ import annotations

import pytest
import torch

GPU = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
    ],
)
DEVICES = ["cpu", GPU]
