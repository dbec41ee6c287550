"""What decides the bits besides the plan and the data: hardware, threads, versions, precision."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch


def fingerprint(device: torch.device, precision: str) -> dict[str, Any]:
    """Plain values; two attempts with the same fingerprint give the same bits."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {
        "device": device.type,
        "hardware": name,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "precision": precision,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


@cache
def processor() -> str:
    """The processor's model name where the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def whereabouts(device: torch.device) -> dict[str, Any]:
    """Where this process is, as ``Started`` says it."""
    return {"device": str(device), "host": platform.node(), "pid": os.getpid()}


def versions() -> dict[str, str]:
    """Releases of what a result depends on."""
    names = ("ensemble-trainer", "torch", "ray", "numpy", "scipy", "scikit-learn")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}
