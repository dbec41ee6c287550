"""Parts on a core each: all of them done, each with one thread, and torch left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Barrier, get_ident

import pytest
import torch

from ensemble.nets.cores import side_by_side

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_two_at_once_with_one_thread_each() -> None:
    """The barrier opens only to two at a time; more threads a part fails where torch is not told."""
    both = Barrier(2)
    seen: list[tuple[int, int]] = []

    def work(part: int) -> None:
        both.wait(timeout=20)
        seen.append((part, torch.get_num_threads()))

    side_by_side(work, range(6), CPU)
    assert sorted(seen) == [(part, 1) for part in range(6)]
    assert torch.get_num_threads() == 2


def test_a_failure_is_said_and_torch_has_its_threads_again() -> None:
    def work(part: int) -> None:
        raise ValueError(part)

    with pytest.raises(ValueError, match="0"):
        side_by_side(work, range(3), CPU)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("parts", "threads", "device"), [(1, 2, "cpu"), (3, 1, "cpu"), (3, 2, "meta")])
def test_where_there_is_nothing_to_share_out_no_thread_is_started(
    parts: int, threads: int, device: str
) -> None:
    torch.set_num_threads(threads)
    seen: list[tuple[int, int]] = []
    side_by_side(
        lambda part: seen.append((get_ident(), torch.get_num_threads())), range(parts), torch.device(device)
    )
    assert seen == [(get_ident(), 1 if device == "cpu" else threads)] * parts
    assert torch.get_num_threads() == threads
