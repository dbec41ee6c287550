"""A run made with MODULE:FUNCTION: its code is imported only when the user names it again, and is still the same."""

from __future__ import annotations

from ensemble.errors import UsageError
from ensemble.functions import function_digest, is_function_path
from ensemble.runs.store import RunStore


def check_function(store: RunStore, option: str, given: str | None) -> None:
    """See that ``--option`` names again what the run was made with, where that is MODULE:FUNCTION.

    Nothing is imported because a run directory says so: the name has to come from the command line.

    Args:
        store: The run.
        option: ``net``, ``loss`` or ``data``.
        given: What the user named now.

    Raises:
        UsageError: not given, another name, or the defining file has changed.
    """
    made_with = str(store.record.config.flat()[option])
    if not is_function_path(made_with):
        if given is not None and given != made_with:
            raise UsageError(f"--{option} is {given!r}, but this run was made with {made_with!r}")
        return
    if given is None:
        raise UsageError(
            f"this run was made with your own --{option} {made_with}; code is imported only when you name it: "
            f"give the same option again, --{option} {made_with}"
        )
    if given != made_with:
        raise UsageError(f"--{option} is {given!r}, but this run was made with --{option} {made_with}")
    if function_digest(given) != store.record.functions[made_with]:
        raise UsageError(
            f"the file that defines {made_with} has changed since this run was made; "
            "put the old one back, or train a new run"
        )
