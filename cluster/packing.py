"""What goes along with a job: the project's own packages, the user's modules, and small data files.

**A relative path travels with the job; an absolute one is looked for on the cluster.** So does a module: the one in the
current directory is packed, with what it imports from there; an installed one has to be installed on the cluster too.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ensemble.errors import DataError, UsageError
from ensemble.functions import is_function_path

OWN = ("ensemble", "cluster")
LARGEST = 100 * 2**20
"""Bytes that travel with a job: they go through the head's memory, once a job and once a node."""

Files = dict[str, Path]
"""Name in the job's working directory → file here."""


@dataclass(frozen=True)
class Package:
    """A zip file, named by its content as Ray names them."""

    name: str
    content: bytes


def pack(options: Mapping[str, Any], directory: Path) -> Package:
    """The working directory of a job.

    Args:
        options: Of the command, by field: of ``net``, ``loss``, ``data``, ``test`` and ``data_dir`` what names a module
            or a file in ``directory`` goes along.
        directory: The current one.

    Raises:
        UsageError: a module that is neither here nor installed, or all together is too large.
        DataError: a file that is not here.
    """
    named = {field: value for field, value in options.items() if isinstance(value, str)}
    functions = [
        value
        for field, value in named.items()
        if field in ("net", "loss", "data", "test") and is_function_path(value)
    ]
    files = own_files() | module_files(functions, directory)
    for field in ("data", "test", "data_dir"):
        if field in named and named[field] not in functions:
            files |= data_files(named[field], directory, option=f"--{field.replace('_', '-')}")
    check_size(files)
    return zipped(files)


def own_files() -> Files:
    """This project's own packages, as they are here."""
    files: Files = {}
    for name in OWN:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        files |= _tree(Path(spec.origin).parent, name)
    return files


def module_files(functions: Iterable[str], directory: Path) -> Files:
    """The files of MODULE:FUNCTION in ``directory``, and of all that they import from there.

    Read, not imported: code that needs what only the cluster has can be sent from here.

    Raises:
        UsageError: a module that is neither there nor installed, or does not parse.
    """
    files: Files = {}
    wanted = []
    for function in functions:
        top = function.partition(":")[0].partition(".")[0]
        if not _module(top, directory) and top not in OWN and importlib.util.find_spec(top) is None:
            raise UsageError(
                f"cannot find module {top!r} of {function!r}; looked in {str(directory)!r} and the installed packages"
            )
        wanted.append(top)
    seen: set[str] = set(OWN)
    while wanted:
        top = wanted.pop()
        if top in seen:
            continue
        seen.add(top)
        found = _module(top, directory)
        files |= found
        for path in found.values():
            if path.suffix == ".py":
                wanted += _imported(path)
    return files


def data_files(source: str, directory: Path, *, option: str) -> Files:
    """The files of a data source: itself, or all below it; none of a bundled name or an absolute path.

    Raises:
        UsageError: a path out of the current directory.
        DataError: nothing is there.
    """
    path = PurePosixPath(source)
    if path.is_absolute() or source.startswith("~"):
        return {}
    if ".." in path.parts:
        raise UsageError(
            f"{option} is {source!r}: a relative path travels with the job, so it lies below the current directory; "
            "give the absolute path of a file that the cluster's head sees"
        )
    here = directory / path
    if here.is_file():
        return {path.as_posix(): here}
    if here.is_dir():
        return _tree(here, path.as_posix())
    if path.suffix or len(path.parts) > 1:
        raise DataError(
            f"{option} is {source!r}, and there is no such file in {str(directory)!r}; a relative path travels with "
            "the job, an absolute one is looked for on the cluster"
        )
    return {}


def check_size(files: Files) -> None:
    """See that a package is small enough to travel.

    Raises:
        UsageError: it is not.
    """
    sizes = {name: path.stat().st_size for name, path in files.items()}
    total = sum(sizes.values())
    if total > LARGEST:
        largest = max(sizes, key=lambda name: sizes[name])
        raise UsageError(
            f"{total / 2**20:,.0f} MB would travel with the job, and at most {LARGEST / 2**20:.0f} MB do; the largest "
            f"file is {largest!r} with {sizes[largest] / 2**20:,.0f} MB. Put it where the cluster's head sees it, and "
            "give the absolute path there"
        )


def zipped(files: Files) -> Package:
    """The same files give the same bytes and so the same name: the cluster keeps one copy."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(files.items()):
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    content = buffer.getvalue()
    return Package(f"_ray_pkg_{hashlib.sha256(content).hexdigest()[:32]}.zip", content)


def _module(top: str, directory: Path) -> Files:
    """A top-level module's file, or a package's directory, in ``directory``."""
    if (directory / top).is_dir() and next((directory / top).rglob("*.py"), None):
        return _tree(directory / top, top)
    file = directory / f"{top}.py"
    return {file.name: file} if file.is_file() else {}


def _imported(path: Path) -> list[str]:
    """Top-level names that a file imports, wherever in it."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{str(path)!r} is no Python: {error}") from None
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.append(node.module)
    return [name.partition(".")[0] for name in names]


def _tree(root: Path, name: str) -> Files:
    """Every file below ``root``, hidden ones and compiled ones left out."""
    files: Files = {}
    for directory, subdirectories, names in os.walk(root):
        subdirectories[:] = [
            sub for sub in subdirectories if sub != "__pycache__" and not sub.startswith(".")
        ]
        for file in names:
            path = Path(directory, file)
            if not file.startswith(".") and path.suffix != ".pyc" and path.is_file():
                files[f"{name}/{path.relative_to(root).as_posix()}"] = path
    return files
