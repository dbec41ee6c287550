"""Residual blocks: where a shortcut halves the image, and what must not halve it."""

from __future__ import annotations

import torch
from torch import nn

from ensemble.nets.resnet import Residual, resnet


def test_the_shortcut_halves_as_a_strided_convolution_would() -> None:
    block = Residual(3, 5, batch_norm="none")
    assert block.shortcut is not None
    strided = nn.Conv2d(3, 5, 1, stride=2)
    strided.load_state_dict(block.shortcut.state_dict())
    x = torch.randn(2, 3, 7, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        block.conv2.weight.zero_()
        assert block.conv2.bias is not None
        block.conv2.bias.zero_()
        torch.testing.assert_close(block(x), strided(x.relu()))


def test_no_convolution_of_one_pixel_has_a_stride() -> None:
    """Trained with few channels in channels-last memory, it wrote past its memory: ``free(): invalid pointer``."""
    net = resnet((1, 16, 16), 3, hidden=(4, 8, 8, 4), batch_norm="before", dropout=0.0)
    small = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert len(small) == 2
    assert all(module.stride == (1, 1) for module in small)
