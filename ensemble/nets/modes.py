"""Looking at a network without leaving a trace on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def kept_modes(net: nn.Module) -> Iterator[None]:
    """Training and evaluation flags of all modules are afterwards what they were."""
    modes = [(module, module.training) for module in net.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def untouched(net: nn.Module) -> Iterator[None]:
    """Flags, buffers and torch's random state are afterwards what they were, and no gradient is recorded."""
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in net.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    with kept_modes(net), torch.no_grad(), torch.random.fork_rng(devices=_cuda_devices(net)):
        try:
            yield
        finally:
            for module, name, buffer, before in buffers:
                setattr(
                    module, name, buffer.copy_(before)
                )  # a forward pass may have put another in its place


def device_of(net: nn.Module) -> torch.device:
    """Where the network lies: the device of its first parameter, the CPU without any."""
    return next((parameter.device for parameter in net.parameters()), torch.device("cpu"))


def _cuda_devices(net: nn.Module) -> list[torch.device]:
    device = device_of(net)
    return [device] if device.type == "cuda" else []
