"""What all tests share: a fast directory, and the tally of the long fault runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.faults.tally import Tally

# How long an example takes depends on who else uses the machine: a property is true or not.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

TALLY = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TALLY] = Tally()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    return request.config.stash[TALLY]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[TALLY].lines:
        terminalreporter.section("faults")
        for line in config.stash[TALLY].table():
            terminalreporter.write_line(line)


@pytest.fixture
def fast_directory() -> Iterator[Path]:
    """In memory where there is such a place: thousands of runs sync some hundred times each."""
    parent = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="ensemble-test-", dir=parent) as directory:
        yield Path(directory)
