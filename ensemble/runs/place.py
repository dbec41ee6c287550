"""Where a run directory may lie, found out before anything is started; what a new one is called; and that no link leads
out of it."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from urllib.parse import urlsplit

from ensemble.config import RunConfig
from ensemble.errors import RunError
from ensemble.runs.records import NAME

LONGEST_INSIDE = 120
"""Characters of the longest path inside a run directory, its temporary file's ending and some room included."""


def check_place(root: Path) -> None:
    """See that nothing is at ``root`` and that a run directory could be made and filled there. Writes nothing.

    Raises:
        RunError: it exists, its name is not one of a run, the path is too long, or the place cannot be written to.
    """
    if not re.fullmatch(NAME, root.name):
        raise RunError(
            f"the run directory's name is {root.name!r}, but a name is made of at most 64 letters, digits and . _ - "
            "and begins with none of . and -; name another with --run"
        )
    try:
        if os.path.lexists(root):
            raise RunError(
                f"run directory {str(root)!r} exists already; resume it, or name another with --run"
            )
        parent = next(parent for parent in root.absolute().parents if os.path.lexists(parent))
        longest, name = os.pathconf(parent, "PC_PATH_MAX"), os.pathconf(parent, "PC_NAME_MAX")
        if len(os.fsencode(root.absolute())) + LONGEST_INSIDE > longest or any(
            len(os.fsencode(part)) > name for part in root.parts
        ):
            raise RunError(
                f"the path of run directory {str(root)!r} is too long for the files in it; use a shorter one"
            )
        if not parent.is_dir():
            raise RunError(f"cannot make run directory {str(root)!r}: {str(parent)!r} is no directory")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise RunError(f"cannot make run directory {str(root)!r}: {str(parent)!r} cannot be written to")
    except OSError as error:
        raise RunError(f"cannot make run directory {str(root)!r}: {error.strerror}") from None


def new_run_directory(config: RunConfig) -> Path:
    """A new name under ``runs/`` from date, data and net, with a number behind it where that is taken."""
    data = Path(config.data.data.replace(":", "-")).stem
    parts = [data, *([] if config.net.net == "auto" else [config.net.net])]
    return _new_directory("-".join(parts))


def new_directory_for(address: str) -> Path:
    """The same for a run that is fetched from a storage, named after its address."""
    parts = urlsplit(address)
    return _new_directory(Path(parts.path).name or parts.netloc)


def _new_directory(about: str) -> Path:
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in about)[:40]
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    numbers = (stem if n == 1 else f"{stem}-{n}" for n in range(1, 10_000))
    return next(path for path in (Path("runs") / number for number in numbers) if not path.exists())


def inside(directory: str, name: str) -> str:
    """The path of a file that a manifest names, below a directory of the run, which is none that a link stands for.

    Raises:
        RunError: a directory on the way from there is a symbolic link; ``atomic`` refuses the file itself.
    """
    way = directory
    for part in name.split("/")[:-1]:
        way = f"{way}/{part}"
        refuse_link(way)
    return f"{directory}/{name}"


def refuse_link(path: Path | str) -> None:
    """What a run's manifest names lies in the run: no link leads out of it.

    Raises:
        RunError: ``path`` is a symbolic link.
    """
    if os.path.islink(path):
        raise RunError(
            f"{str(path)!r} is a symbolic link, which a run directory does not hold; put the files there"
        )
