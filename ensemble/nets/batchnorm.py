"""Running statistics of batch norm, estimated anew: what averaged weights need before they are any good."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ensemble.nets.modes import device_of, kept_modes


@torch.no_grad()
def refresh_batch_norm(net: nn.Module, batches: Iterable[Tensor]) -> int:
    """One pass of ``batches`` in the given order; the running statistics become the mean over the batches.

    μ = (1/B) Σ_b μ_b and σ² = (1/B) Σ_b σ_b² (the unbiased variance of each batch), each batch of equal
    weight, as in stochastic weight averaging (Izmailov et al. 2018, arXiv 1803.05407). Batch norm alone is in
    training mode: dropout stays off. Momenta and modes are afterwards what they were; ``num_batches_tracked``
    is the number of batches.

    Args:
        net: The network, changed in place.
        batches: Inputs ``(rows, *shape)``, full batches; moved to the network's device.

    Returns:
        The number of batches, 0 where the network has no running statistics and the batches were left alone.

    Raises:
        ValueError: there is batch norm but no batch; the statistics stay as they were.
    """
    norms = [
        module for module in net.modules() if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    if not norms:
        return 0
    momenta = [norm.momentum for norm in norms]
    device, count = device_of(net), 0
    with kept_modes(net):
        net.eval()
        try:
            for batch in batches:
                if count == 0:
                    for norm in norms:
                        norm.reset_running_stats()
                        norm.momentum = None  # torch's spelling of a cumulative average
                        norm.train()
                net(batch.to(device))
                count += 1
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
    if count == 0:
        raise ValueError("batch norm cannot be refreshed from no batches at all; pass at least one")
    return count
