"""A place beyond the run directory where a run is kept too: any address that fsspec knows, as names and bytes.

An object store has no rename, no fsync and no lock. All that is asked of it is that a put is whole or not at all, and
that what was put is there. On a path it is the run directory's own protocol that commits.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ensemble.errors import DiskError, UsageError
from ensemble.runs import atomic
from ensemble.runs.records import NAME

ANSWER_WITHIN = 20.0
"""Seconds for the first word of a storage: libraries of object stores go on trying for minutes."""
AT_ONCE = 16
"""Objects read at the same time."""
OF_A_RUN = re.compile(rf"{NAME}(/{NAME}){{0,3}}")

T = TypeVar("T")


def is_address(place: str) -> bool:
    """Whether ``place`` is an address such as ``s3://bucket/runs/first``, and no path of this machine."""
    return "://" in place


class Storage:
    """One run's place. Every method raises DiskError where the place does not do as it is told."""

    def __init__(self, address: str) -> None:
        """
        Args:
            address: ``PROTOCOL://…`` as fsspec has it, or an absolute path.

        Raises:
            UsageError: a relative path, which is another place from every directory; a protocol that nobody knows or
                whose library is missing; a password in the address.
        """
        import fsspec
        from fsspec.implementations.local import LocalFileSystem

        self.address = address
        if is_address(address) and urlsplit(address).password is not None:
            raise UsageError(
                "the storage's address holds a secret, which would be written into the run; give it to the storage's "
                "own library, through the environment or its configuration file"
            )
        if not is_address(address) and not Path(address).is_absolute():
            raise UsageError(f"storage is {address!r}: give PROTOCOL://…, or an absolute path")
        try:
            self._files, self._root = fsspec.core.url_to_fs(address)
        except (ValueError, ImportError, OSError) as error:
            raise UsageError(f"storage {address!r} cannot be used: {error}") from None
        self._root = self._root.rstrip("/")
        self.path = Path(self._root) if isinstance(self._files, LocalFileSystem) else None
        """Where it is a path of this machine."""

    def sizes(self) -> dict[str, int]:
        """Bytes of every object that could be a run's, by name; nothing where there is nothing.

        Names that a run does not give (``..``, hidden ones) are passed over: they are never read and never written.
        """

        def find() -> dict[str, Any]:
            self._files.invalidate_cache()
            found: dict[str, Any] = self._files.find(self._root, detail=True)
            return found

        prefix = f"{self._root}/"
        named = {path.removeprefix(prefix): info for path, info in self._asked(find).items()}
        return {name: int(info["size"] or 0) for name, info in named.items() if OF_A_RUN.fullmatch(name)}

    def sizes_soon(self) -> dict[str, int]:
        """The same, as the first word to a storage: within a bound.

        Raises:
            UsageError: it cannot be reached.
        """
        answer: Future[dict[str, int]] = Future()

        def ask() -> None:
            try:
                answer.set_result(self.sizes())
            except Exception as error:
                answer.set_exception(error)

        threading.Thread(target=ask, name="storage", daemon=True).start()
        try:
            return answer.result(ANSWER_WITHIN)
        except TooLate:
            raise UsageError(
                f"storage {self.address!r} did not answer within {ANSWER_WITHIN:g} s; check its address, the network "
                "and the credentials in the environment"
            ) from None
        except DiskError as error:
            raise UsageError(str(error)) from None

    def read(self, name: str) -> bytes | None:
        """An object's content; None where it is gone."""

        def read() -> bytes | None:
            try:
                content: bytes = self._files.cat_file(self._path(name))
            except FileNotFoundError:
                return None
            return content

        return self._asked(read)

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """Those that are there, several at once, all of them in memory."""
        names = list(names)
        with ThreadPoolExecutor(AT_ONCE, "storage") as readers:
            contents = zip(names, readers.map(self.read, names), strict=True)
            return {name: content for name, content in contents if content is not None}

    def write(self, name: str, content: bytes) -> None:
        """Put an object in place of what was there; it is there, whole, when this returns."""
        if self.path is not None:
            atomic.commit(self.path / name, content)
        else:
            self._asked(lambda: self._files.pipe_file(self._path(name), content))

    def remove(self, name: str) -> None:
        """Remove an object that may be there."""

        def remove() -> None:
            try:
                self._files.rm_file(self._path(name))
            except FileNotFoundError:
                return

        self._asked(remove)

    def _path(self, name: str) -> str:
        assert OF_A_RUN.fullmatch(name), name
        return f"{self._root}/{name}"

    def _asked(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except Exception as error:  # every library of a store has its own
            raise DiskError(
                f"storage {self.address!r} cannot be used: {type(error).__name__}: {error}"
            ) from error
