"""Networks as matrices say what they said, and what is no such chain is left alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ensemble.config import NetConfig
from ensemble.nets.build import build_net
from ensemble.nets.folding import fold


def trained(batch_norm: str, hidden: tuple[int, ...], seed: int) -> nn.Module:
    """A network whose batch norm has been somewhere: running statistics and affine parts differ from the start."""
    config = NetConfig(net="mlp", hidden=hidden, batch_norm=batch_norm, dropout=0.3, bias_init=0.1)  # type: ignore[arg-type]
    net = build_net(config, shape=(2, 3), outputs=4, seed=seed)
    with torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(seed)
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        for _ in range(5):
            net.train()(torch.randn(16, 2, 3) * 3 + 1)
    return net.eval()


@pytest.mark.parametrize("hidden", [(5,), (7, 5), (4, 6, 5)])
@pytest.mark.parametrize("batch_norm", ["none", "before", "after"])
def test_folded_networks_say_what_they_said(batch_norm: str, hidden: tuple[int, ...]) -> None:
    nets = [trained(batch_norm, hidden, seed) for seed in range(3)]
    x = torch.randn(9, 2, 3, generator=torch.Generator().manual_seed(1))
    folded = fold(nets)
    assert folded is not None
    with torch.no_grad():
        torch.testing.assert_close(folded(x), torch.stack([net(x) for net in nets]), rtol=1e-4, atol=1e-4)
    assert folded.weights == sum(p.numel() for n, p in nets[0].named_parameters() if p.ndim == 2)


def test_the_networks_are_left_alone() -> None:
    net = trained("before", (5,), 0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    folded = fold([net, net])
    assert folded is not None
    folded(torch.ones(2, 2, 3))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.linear(x)


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(4, 4), nn.ReLU()),
        nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)),
        nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)),
        nn.Sequential(
            nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.ReLU(), nn.Linear(4, 2)
        ),
        nn.Sequential(nn.Conv1d(1, 1, 1), nn.Flatten(), nn.Linear(4, 2)),
        Residual(),
        nn.Sequential(),
    ],
)
def test_whatever_is_no_such_chain_is_not_folded(net: nn.Module) -> None:
    """Each would be folded to something else, or raise, without its condition."""
    assert fold([net, net]) is None
