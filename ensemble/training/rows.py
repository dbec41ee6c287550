"""Rows on the device: batches cut by index from one array, made into inputs as they are needed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ensemble.data.dataset import Array, DataSpec
from ensemble.errors import UsageError

LARGEST_SHARE = 0.5
"""Of a GPU's free memory that rows may take; the rest is the networks' and that of members beside this one."""


class DeviceRows:
    """Inputs of a data set, a batch at a time on one device.

    On a CPU the array stays where it is (shared memory, read-only). A GPU gets a copy of it once, where that `fits`;
    else the array stays too, and each batch goes over by itself. Bytes stay bytes until their batch is on the device;
    there they are standardized. Where the rows lie changes no bit.
    """

    def __init__(
        self, x: Array, spec: DataSpec, device: torch.device, *, channels_last: bool = False
    ) -> None:
        self._resident = fits(x.nbytes, device)
        self._x = _as_tensor(x).to(device) if self._resident else _as_tensor(x)
        self._channels_last = channels_last
        self._device = device
        self._bytes = x.dtype == np.uint8
        per_channel = spec.standardize == "pixels" or len(spec.mean) == 1
        shape = (-1, *[1] * (len(spec.shape) - 1)) if per_channel else spec.shape
        self._mean = torch.tensor(spec.mean, dtype=torch.float32, device=device).reshape(shape)
        self._scale = 1 / torch.tensor(spec.std, dtype=torch.float32, device=device).reshape(shape)

    def batch(self, index: NDArray[np.int64]) -> Tensor:
        """``(rows, *shape)`` float32, standardized."""
        if self._resident:
            rows = self._x.index_select(0, to_device(index, self._device))
        else:
            pinned = self._device.type == "cuda"
            room = torch.empty(len(index), *self._x.shape[1:], dtype=self._x.dtype, pin_memory=pinned)
            rows = torch.index_select(self._x, 0, torch.from_numpy(index), out=room)
            rows = rows.to(self._device, non_blocking=True)
        if self._bytes:
            rows = rows.to(torch.float32).sub_(self._mean).mul_(self._scale)
        return rows.contiguous(memory_format=torch.channels_last) if self._channels_last else rows


def fits(size: int, device: torch.device) -> bool:
    """Whether ``size`` bytes of rows may lie on the device: at most `LARGEST_SHARE` of what a GPU has free."""
    if device.type != "cuda":
        return True
    # What this process freed, torch keeps for it: to the driver it looks taken.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free, _ = torch.cuda.mem_get_info(device)
    return size <= LARGEST_SHARE * (free + kept)


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """The array on the device, without waiting until that has done what it was given before.

    On a CPU it is the array's own memory. A GPU copies from pinned memory, which torch keeps until the copy is made, so
    the array may change or go at once.
    """
    tensor = torch.from_numpy(array)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def device_targets(y: Array, spec: DataSpec, device: torch.device) -> Tensor:
    """Targets as the loss takes them: class indices, or standardized numbers (float32)."""
    if spec.task == "classification":
        return _as_tensor(y).to(device)
    return torch.from_numpy(((y - spec.target_mean) / spec.target_std).astype(np.float32)).to(device)


def batch_bounds(rows: int, batch_size: int) -> list[tuple[int, int]]:
    """Where batches begin and end. A last batch of one row joins the one before it.

    Batch norm cannot train on one row, and dropping it would let the loader decide what is learned.

    Raises:
        UsageError: fewer than two rows.
    """
    if rows < 2:
        raise UsageError(
            f"{rows} training rows for a member: training needs at least two; with resample disjoint, fewer members"
        )
    starts = list(range(0, rows, batch_size))
    if rows - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], rows], strict=True))


def full_batches(order: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Full batches in the given order, as the batch-norm refresh wants them; all rows where they fill none."""
    size = min(batch_size, len(order))
    for start in range(0, len(order) - size + 1, size):
        yield order[start : start + size]


def _as_tensor(array: Array) -> Tensor:
    """A tensor on the array's own memory, which may be read-only: nothing here writes into it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        tensor: Tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor


def to_numpy(tensor: Tensor) -> NDArray[Any]:
    """A contiguous CPU copy that outlives the network."""
    return np.array(tensor.detach().cpu().numpy(), order="C")
