"""Networks as matrices say what they said, and what is no such chain is left alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from ensemble.config import NetConfig
from ensemble.nets import folding
from ensemble.nets.build import build_net
from ensemble.nets.folding import FoldedStack, fold


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


def alone(nets: list[nn.Module]) -> FoldedStack:
    """The one stack they are."""
    (stack,) = fold(nets)
    return stack


@pytest.mark.parametrize("hidden", [(), (5,), (7, 5), (4, 6, 5)])
@pytest.mark.parametrize("batch_norm", ["none", "before", "after"])
def test_folded_networks_say_what_they_said(batch_norm: str, hidden: tuple[int, ...]) -> None:
    nets = [trained(batch_norm, hidden, seed) for seed in range(3)]
    folded = alone(nets)
    for rows in (1, 9, folding.FEW, 50):
        x = torch.randn(rows, 2, 3, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            torch.testing.assert_close(folded(x), torch.stack([net(x) for net in nets]), rtol=1e-4, atol=1e-4)
    assert folded.weights == sum(p.numel() for n, p in nets[0].named_parameters() if p.ndim == 2)


def test_the_networks_are_left_alone() -> None:
    net = trained("before", (5,), 0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    alone([net, net])(torch.ones(2, 2, 3))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_memory_that_is_used_again_holds_nothing_of_before() -> None:
    """More rows, fewer, more than a part, and in whatever mode: the same bits as of a stack that was never used."""
    nets = [trained("before", (7, 5), seed) for seed in range(3)]
    used = alone(nets)
    for rows in (40, 90, 17, folding.ROWS + 1, 90):
        x = torch.randn(rows, 2, 3, generator=torch.Generator().manual_seed(rows))
        with torch.inference_mode(rows % 2 == 0):
            said = used(x)
            assert torch.equal(said, alone(nets)(x))
            kept = said.clone()
            used(x + 1)
            assert torch.equal(said, kept)  # what was said is the caller's


def test_threads_at_once_do_not_write_into_each_others_memory() -> None:
    """Fails where a stack has one memory for all: each thread's rows are then the other's."""
    stack = alone([trained("none", (64, 64), seed) for seed in range(20)])
    rows = [torch.full((folding.ROWS, 2, 3), float(number)) for number in range(2)]
    expected = [stack(x) for x in rows]
    with ThreadPoolExecutor(2) as threads:
        said = list(threads.map(stack, rows * 100))
    assert all(torch.equal(one, expected[number % 2]) for number, one in enumerate(said))


def test_many_are_several_stacks_of_about_one_size_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "HIDDEN", 3 * 5 * folding.ROWS)
    nets = [trained("none", (5, 4), seed) for seed in range(7)]
    stacks = fold(nets)
    assert [stack.members for stack in stacks] == [3, 3, 1]
    x = torch.ones(2, 2, 3)
    assert torch.allclose(
        torch.cat([stack(x) for stack in stacks]), torch.stack([net(x) for net in nets]), atol=1e-4
    )


@pytest.mark.parametrize(("members", "rows"), [(1, 936 * 160), (3, 312 * 160), (2000, 160)])
def test_fewer_members_pass_more_rows_at_a_time(members: int, rows: int) -> None:
    """Seen to fail with the same number for all: five members then spent their time on calls."""
    chain = [(torch.zeros(6, 7), torch.zeros(7)), (torch.zeros(7, 2), torch.zeros(2))]
    assert folding._stack([chain] * members).rows == rows


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
    assert fold([net, net]) == ()
