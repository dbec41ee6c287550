"""Which arithmetic a step uses: a rule of the hardware, never a timing, so the same machine gives the same bits."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def choose_precision(asked: str, device: torch.device) -> Precision:
    """``auto`` is bfloat16 where the processor or GPU multiplies matrices in it, else float32."""
    if asked != "auto":
        return "bfloat16" if asked == "bfloat16" else "float32"
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float32"
    return "bfloat16" if torch.cpu._is_amx_tile_supported() else "float32"


def step_context(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Around one forward pass, never around the loop: autocast caches the low-precision copies of the weights
    until its outermost context closes, and a network would train on stale ones without any error."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
