"""A run directory's copy in a storage, kept up to date while the run goes on, from which it is taken up anywhere.

The run directory stays what it is: committed by the protocol, on a disk of the coordinator's machine. A thread looks at
it every few seconds and puts what was committed into the storage, **manifests after the files that they name**. So
wherever it stops, the storage holds what a run directory could hold after a loss of power, and is verified like one.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ensemble.errors import DiskError, RunError, UsageError
from ensemble.runs import atomic
from ensemble.runs.claim import (
    CLAIM,
    RENEWED_EVERY,
    Claim,
    Identity,
    check_claim,
)
from ensemble.runs.storage import OF_A_RUN, Storage
from ensemble.runs.store import RunStore

PAUSE = 10.0
"""Seconds between two looks; at least as long as the last took, so that the mirror is idle half of the time."""
LAST_TRIES = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each try to bring the storage up to date once the run is over."""
WHEN_STOPPED = 15.0
"""Seconds that a run which was told to stop takes for the same; `ray job stop` kills it after 20."""

Say = Callable[[str], None]


class Stamp(NamedTuple):
    """What tells that a file was replaced or grew."""

    size: int
    changed: int
    inode: int


def check_storage(address: str, root: Path) -> None:
    """See that a run that is not made yet could be kept in a storage, before anything is started.

    Args:
        address: Of the storage.
        root: Where the run directory will be.

    Raises:
        UsageError: it cannot be used or reached, or lies in the run directory or around it.
        RunError: it is not empty.
    """
    storage, root = Storage(address), root.absolute()
    if storage.path is not None and (storage.path in (root, *root.parents) or root in storage.path.parents):
        raise UsageError(
            f"storage {address!r} and run directory {str(root)!r} lie in one another; a copy has its own place"
        )
    check_claim(storage, None)


@contextmanager
def mirrored(store: RunStore, address: str | None, *, say: Say) -> Iterator[None]:
    """While the block runs and once more at its end, keep a storage up to date with a run directory.

    A storage that refuses does not stop the run: it is tried again, and said.

    Args:
        store: A run directory whose lock the caller holds.
        address: Of the storage; None for none.
        say: Called with sentences, some of them from another thread.

    Raises:
        RunError: the storage holds another run or is ahead of this directory, or another process writes there.
        UsageError: it cannot be reached; nothing was started.
        DiskError: the run is over, and the storage could not be brought up to date.
    """
    storage = None if address is None else Storage(address)
    if storage is None or storage.path == store.root.absolute():  # a path that was resumed in its place
        yield
        return
    run = Identity.of(store.record)
    newer = ahead(check_claim(storage, run), look(store.root))
    if newer:
        raise RunError(
            f"{storage.address} is ahead of run directory {str(store.root)!r}: {', '.join(newer[:5])} "
            f"{'are' if len(newer) > 1 else 'is'} there and not here. Go on from there: "
            f"ensemble resume {storage.address}"
        )
    mirror = Mirror(store.root, storage, run=run, say=say)
    say(f"run directory {str(store.root)!r}, which {storage.address} follows")
    mirror.start()
    try:
        yield
    except BaseException:
        if not mirror.finish(WHEN_STOPPED):
            say(mirror.lag)
        raise
    if not mirror.finish():
        raise DiskError(mirror.lag)
    say(f"{storage.address} is up to date")


class Mirror:
    """The thread that copies. Public for tests; `mirrored` is how it is used."""

    def __init__(self, root: Path, storage: Storage, *, run: Identity, say: Say) -> None:
        self._root, self._storage, self._run, self._say = root, storage, run, say
        self._sent: dict[str, Stamp | None] = {}
        """What the storage holds of this run, and which file it was; None where that is not known."""
        self._compared = False
        self._renewed = 0.0
        self._over = threading.Event()
        self._reason: str | None = None
        self._done = False
        self._thread = threading.Thread(target=self._follow, name="mirror", daemon=True)

    @property
    def lag(self) -> str:
        """That the storage is behind, why, and what to do."""
        return (
            f"{self._storage.address} is behind: {self._reason or 'there was no time to bring it up to date'}. The "
            f"whole run lies in {str(self._root)!r} on this machine; once the storage works, "
            f"`ensemble resume {self._root}` brings it up to date"
        )

    def start(self) -> None:
        self._thread.start()

    def finish(self, patience: float | None = None) -> bool:
        """Bring the storage up to date, within ``patience`` seconds; whether that was done."""
        self._over.set()
        self._thread.join(patience)
        return self._done

    def copy(self, *, going: bool = True) -> None:
        """Put everything into the storage that is not there yet, and remove what the run no longer has.

        Raises:
            DiskError: the storage refused; the next call goes on where this one stopped.
        """
        if not self._compared:
            self._sent = self._already_there()
            self._compared = True
        self._renew(0.0, going=True)
        files = look(self._root)
        for name in in_order(name for name, stamp in files.items() if self._sent.get(name) != stamp):
            content = content_of(self._root / name, files[name], exact=is_manifest(name))
            if content is not None:
                self._storage.write(name, content)
                self._sent[name] = files[name]
            self._renew(RENEWED_EVERY, going=True)
        for name in reversed(in_order(self._sent.keys() - files.keys())):
            self._storage.remove(name)
            del self._sent[name]
        if not going:
            self._renew(0.0, going=False)

    def _follow(self) -> None:
        pause = 0.0
        while not self._over.wait(pause):
            began = time.monotonic()
            self._try()
            pause = max(PAUSE, time.monotonic() - began)
        for seconds in LAST_TRIES:
            time.sleep(seconds)
            if self._try(going=False):
                self._done = True
                return

    def _try(self, *, going: bool = True) -> bool:
        try:
            self.copy(going=going)
        except DiskError as error:
            if self._reason is None:
                self._say(f"{error}; the run goes on, and the storage is tried again")
            self._reason = str(error)
            return False
        if self._reason is not None:
            self._say(f"storage {self._storage.address!r} works again")
        self._reason = None
        return True

    def _renew(self, every: float, *, going: bool) -> None:
        if time.monotonic() - self._renewed >= every:
            self._storage.write(CLAIM, Claim.now(self._run, going=going).sealed())
            self._renewed = time.monotonic()

    def _already_there(self) -> dict[str, Stamp | None]:
        """What an earlier session put there.

        A finished member whose manifest is there, byte for byte, with files of the sizes that it names, is taken to be
        there. Everything else is put again.
        """
        sizes = self._storage.sizes()
        sizes.pop(CLAIM, None)
        files = look(self._root)
        there: dict[str, Stamp | None] = dict.fromkeys(sizes)
        members = defaultdict[str, list[str]](list)
        for name in files:
            members["/".join(name.split("/")[:2])].append(name)
        manifests = [name for name in files if MEMBER.fullmatch(name) and name in sizes]
        for name, content in self._storage.read_many(manifests).items():
            member = members[name.removesuffix("/member.json")]
            same = content == content_of(self._root / name, files[name], exact=True)
            if same and all(sizes.get(other) == files[other].size for other in member):
                there |= {other: files[other] for other in member}
        return there


MEMBER = re.compile(r"(members/[^/]+)/member\.json")
CHECKPOINT = re.compile(r"(.+)/checkpoint-(\d+)\.json")
FIRST = ("targets.safetensors", "data.json", "config.json")
"""In the order in which a run directory is made: one that has the last is complete."""


def is_manifest(name: str) -> bool:
    return name.endswith(".json")


def in_order(names: Iterable[str]) -> list[str]:
    """Names so that whatever names another comes after it, and the report, which says that all is done, last."""

    def rank(name: str) -> tuple[int, str]:
        if name in FIRST:
            return FIRST.index(name), name
        if not is_manifest(name):
            return 3, name
        return (6 if name == "report.json" else 5 if MEMBER.fullmatch(name) else 4), name

    return sorted(names, key=rank)


def ahead(there: Collection[str], here: Collection[str]) -> list[str]:
    """What a storage has of a run that its directory has not yet: finished members and later checkpoints.

    A directory that was left behind, when the run went on elsewhere, must not take the storage back to where it was.
    """
    done = {name for name in there if MEMBER.fullmatch(name) and name not in here}
    over = {match[1] for name in here if (match := MEMBER.fullmatch(name))}
    newest, newest_here = _newest_checkpoints(there), _newest_checkpoints(here)
    later = {
        f"{directory}/checkpoint-{step:09d}.json"
        for directory, step in newest.items()
        if not over.issuperset(_members_of(directory)) and step > newest_here.get(directory, -1)
    }
    return sorted(done | later)


def _members_of(directory: str) -> set[str]:
    """Whose checkpoints lie there: ``members/000``, or ``stacks/000-015`` of members that are trained as one."""
    first, _, last = Path(directory).name.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal()):
        return set()  # nothing that a run of ours would have written
    return {f"members/{index:03d}" for index in range(int(first), int(last or first) + 1)}


def _newest_checkpoints(names: Iterable[str]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for name in names:
        if match := CHECKPOINT.fullmatch(name):
            newest[match[1]] = max(int(match[2]), newest.get(match[1], -1))
    return newest


def look(root: Path) -> dict[str, Stamp]:
    """Every file of a run directory that is to be copied, by name.

    Manifests are those of a first look, all else of a second: what a manifest names was committed before it, so a
    second look does not miss it.
    """
    first, second = _files(root), _files(root)
    return {name: stamp for name, stamp in second.items() if not is_manifest(name) or name in first}


def _files(root: Path) -> dict[str, Stamp]:
    found = {}
    for directory, subdirectories, names in os.walk(root):
        subdirectories[:] = [name for name in subdirectories if atomic.DAMAGED not in name]
        for name in names:
            path = Path(directory, name)
            relative = path.relative_to(root).as_posix()
            if relative in (CLAIM, "lock") or name.endswith(atomic.TEMPORARY) or atomic.DAMAGED in name:
                continue
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue  # a checkpoint that has had its day
            if OF_A_RUN.fullmatch(relative):
                found[relative] = Stamp(status.st_size, status.st_mtime_ns, status.st_ino)
    return found


def content_of(path: Path, stamp: Stamp, *, exact: bool) -> bytes | None:
    """A file's content; None where it is gone or, if ``exact``, where it is no longer the one that was seen."""
    try:
        content = atomic.read(path)
        status = os.lstat(path)
    except (RunError, FileNotFoundError):
        return None
    now = Stamp(status.st_size, status.st_mtime_ns, status.st_ino)
    return None if exact and now != stamp else content
