"""A user's own ``MODULE:FUNCTION``: imported only because the user named it, and known by its file's digest."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ensemble.errors import UsageError


def is_function_path(name: str) -> bool:
    """Whether ``name`` reads as MODULE:FUNCTION."""
    module, colon, function = name.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def load_function(path: str) -> Callable[..., Any]:
    """Import ``MODULE:FUNCTION``; the current directory is searched like a script's own.

    Raises:
        UsageError: the module cannot be imported or has no such function.
    """
    module_name, _, name = path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UsageError(
            f"cannot import {module_name!r} of {path!r}: {type(error).__name__}: {error}; "
            f"looked in {os.getcwd()!r} and the installed packages"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        there = sorted(n for n, value in vars(module).items() if callable(value) and not n.startswith("_"))
        raise UsageError(
            f"module {module_name!r} has no function {name!r}; it has {', '.join(there) or 'none'}"
        )
    return function  # type: ignore[no-any-return]


def function_digest(path: str) -> str:
    """SHA-256 of the file that defines ``MODULE:FUNCTION``: what a resumed run compares."""
    function = inspect.unwrap(load_function(path))
    try:
        source = inspect.getsourcefile(function)
    except TypeError:  # written in C
        source = None
    if source is None:
        raise UsageError(f"{path!r} has no source file, so a later resume could not tell whether it changed")
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()
