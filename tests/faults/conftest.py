"""What the runs against a real Ray are held against."""

from __future__ import annotations

import pytest

from tests.faults.driver import OPTIONS
from tests.faults.processes import digests


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """SHA-256 of all that the drivers' run makes when one process trains it and nothing happens."""
    from ensemble.config import make_config
    from ensemble.launch import train

    run = tmp_path_factory.mktemp("undisturbed") / "run"
    train(make_config(OPTIONS | {"pool": "serial"}), run=run)
    return digests(run)
