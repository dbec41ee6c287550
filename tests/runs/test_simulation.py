"""Seeded schedules of faults against the real coordinator and store: the end is always the undisturbed one.

Seen to fail, within sixty seeds, when any one of these was taken out: the comparison of attempt numbers in the
coordinator's loop; in ``attempts.py`` the objections to a member that ends without all its predictors and to an attempt
whose first words were lost, and the forgetting of files on a new attempt.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.tally import Tally
from tests.runs.simulation import Ledger, run_schedule

SHORT, LONG = 150, 3000


def run_all(seeds: range, directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Counter[str], int]:
    faults: Counter[str] = Counter()
    hangs = 0
    for seed in seeds:
        ledger: Ledger = run_schedule(directory / "run", seed, monkeypatch)
        faults += ledger.faults
        hangs += ledger.hangs_ended
        shutil.rmtree(directory / "run")
    return faults, hangs


def test_every_schedule_ends_as_if_undisturbed(fast_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults, hangs = run_all(range(SHORT), fast_directory, monkeypatch)
    assert min(faults[what] for what in ("dies", "hangs", "lost", "twice", "late", "Crash", "damage")) >= 10
    assert hangs >= 10


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_thousands_of_schedules_end_as_if_undisturbed(
    fast_directory: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    faults, _ = run_all(range(SHORT, SHORT + LONG), fast_directory, monkeypatch)
    tally.add("coordinator, simulated pool", schedules=LONG, faults=sum(faults.values()), lost=0)
