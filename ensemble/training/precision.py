"""Which arithmetic a step uses: a rule of the hardware, never a timing, so the same machine gives the same bits."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from ensemble.config import RunConfig
from ensemble.training.networks import choose_device

Precision = Literal["float32", "bfloat16"]


def resolve_precision(config: RunConfig) -> RunConfig:
    """The configuration with ``precision`` written out, by the hardware of this process: saved, and kept by a resume.

    ``auto`` is bfloat16 where the processor or GPU multiplies matrices in it, else float32; and float32 for members
    that are trained as one, since their products are too small to gain.
    """
    if config.train.precision != "auto":
        return config
    chosen = _of_hardware(choose_device()) if config.execution.stack == 1 else "float32"
    return config.model_copy(update={"train": config.train.model_copy(update={"precision": chosen})})


def _of_hardware(device: torch.device) -> Precision:
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float32"
    return "bfloat16" if torch.cpu._is_amx_tile_supported() else "float32"


def step_context(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Around one forward pass, never around the loop: autocast caches the low-precision copies of the weights
    until its outermost context closes, and a network would train on stale ones without any error."""
    if precision == "float32":
        return nullcontext()
    assert precision == "bfloat16", "the configuration is resolved before anything is trained"
    return torch.autocast(device.type, dtype=torch.bfloat16)
