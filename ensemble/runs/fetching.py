"""A run out of its storage: all of it, to go on from; or what tells where it stands."""

from __future__ import annotations

from pathlib import Path

from ensemble.errors import RunError
from ensemble.runs import atomic
from ensemble.runs.claim import CLAIM, check_free, read_claim
from ensemble.runs.place import check_place
from ensemble.runs.storage import Storage

BATCH = 64
"""Objects held in memory at once when a run is fetched."""
TELLING = {"config.json", "data.json", "report.json", "member.json", "failure.json", "events.jsonl"}
"""Names of the files from which `status` is read."""


def fetch(address: str, root: Path) -> None:
    """Make a run directory from a storage, as the run left it there; what was cut short is found when it is resumed.

    Args:
        address: Of the storage.
        root: Does not exist yet.

    Raises:
        RunError: no run is there, somebody writes there, or ``root`` cannot be made.
        UsageError: the storage cannot be reached.
        DiskError: it refused in between, or the disk did; ``root`` has no ``config.json`` then, and is no run.
    """
    check_place(root)
    storage = Storage(address)
    sizes = _sizes_of_a_run(storage)
    check_free(storage, read_claim(storage, sizes))
    _download(storage, [name for name in sizes if name != CLAIM], root)


def glance(address: str, root: Path) -> str | None:
    """Fetch what tells where a run stands, its records and its diary, and no arrays; returns who writes there now.

    Raises:
        RunError, UsageError, DiskError: as for `fetch`.
    """
    storage = Storage(address)
    sizes = _sizes_of_a_run(storage)
    claim = read_claim(storage, sizes)
    _download(storage, [name for name in sizes if name.rpartition("/")[2] in TELLING], root)
    return None if claim is None else claim.holder


def _sizes_of_a_run(storage: Storage) -> dict[str, int]:
    sizes = storage.sizes_soon()
    if "config.json" not in sizes:
        found = f"{len(sizes)} objects, but no config.json" if sizes else "nothing"
        raise RunError(f"there is no run at {storage.address!r}: found {found}")
    return sizes


def _download(storage: Storage, names: list[str], root: Path) -> None:
    # config.json last: a directory without it is no run, so one that was cut short is not taken for one
    ordered = sorted(names, key=lambda name: name == "config.json")
    for start in range(0, len(ordered), BATCH):
        for name, content in storage.read_many(ordered[start : start + BATCH]).items():
            atomic.commit(root / name, content)
