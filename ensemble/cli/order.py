"""A command that the user typed, as a job has to run it: checked here, joined to the cluster that the job runs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from ensemble.cli.options import merge, typed
from ensemble.config import FIELDS
from ensemble.errors import UsageError
from ensemble.runs.place import new_directory_for, new_run_directory
from ensemble.runs.storage import is_address

SENT = {
    "train": "ensemble.cli.train:train",
    "resume": "ensemble.cli.resume:resume",
    "grow": "ensemble.cli.resume:grow",
}
"""Commands that can be sent to a cluster."""
FLAGS = {"strict": "--strict", "as_json": "--json", "quiet": "--quiet"}
LEFT_OUT = {
    "address": "the job joins the cluster that it runs on",
    "insecure": "say it before the command",
    "pool": "the job trains on the cluster's workers",
}
"""Options that are decided by the sending, and why."""


@dataclass(frozen=True)
class Order:
    """A command for the cluster's head."""

    arguments: list[str]
    options: dict[str, Any]
    """By field, as in the arguments: what they name here has to go along."""
    new_run: str | None
    """Name of a run directory to be made on the head; None where the arguments say where the run lies."""


def order_of(command: Sequence[str], *, storage: str | None, insecure: bool) -> Order:
    """What the job runs for what the user typed behind ``--``.

    Args:
        command: Its name and its options.
        storage: Where the run is kept, given before the command; it may be given within it instead.
        insecure: Join the cluster though it asks for no token.

    Raises:
        UsageError: it cannot be run as a job.
        click.UsageError: it cannot be run at all.
    """
    name, *rest = command
    if name not in SENT:
        raise UsageError(f"{name!r} cannot be sent to a cluster; {', '.join(SENT)} can")
    module, _, attribute = SENT[name].partition(":")
    parser: click.Command = getattr(import_module(module), attribute)
    params = parser.make_context(name, rest).params
    given = {field: value for field, value in params.items() if field in FIELDS and value is not None}
    for field, why in LEFT_OUT.items():
        if field in given:
            raise UsageError(f"leave --{field} out of the command: {why}")
    if storage is not None and given.get("storage", storage) != storage:
        raise UsageError(
            f"--storage is {storage!r}, and {given['storage']!r} within the command; give one of them"
        )
    place = storage or given.get("storage")
    _check_on_head("--storage", place)
    decided = {"address": "auto", "insecure": insecure or None, "storage": place}
    return (_train if name == "train" else _again)(name, params, given | decided)


def _train(name: str, params: Mapping[str, Any], given: Mapping[str, Any]) -> Order:
    config = merge(given, params["config_file"])
    options = {
        field: getattr(section, field) for _, section in config for field in sorted(section.model_fields_set)
    }
    return Order(
        [name, *typed(options), *_flags(params), *_run(params["run"])],
        options,
        new_run_directory(config).name if params["run"] is None else None,
    )


def _again(name: str, params: Mapping[str, Any], given: Mapping[str, Any]) -> Order:
    run, into = params["run"], params["into"]
    _check_on_head("RUN", run)
    add = [f"--add={params['add']}"] if name == "grow" else []
    return Order(
        [name, run, *add, *typed(given), *_flags(params), *_run(into)],
        dict(given),
        new_directory_for(run).name if is_address(run) and into is None else None,
    )


def _flags(params: Mapping[str, Any]) -> list[str]:
    return [flag for param, flag in FLAGS.items() if params.get(param)]


def _run(directory: Path | None) -> list[str]:
    _check_on_head("--run", None if directory is None else str(directory))
    return [] if directory is None else [f"--run={directory}"]


def _check_on_head(what: str, place: str | None) -> None:
    if place is not None and not is_address(place) and not Path(place).is_absolute():
        raise UsageError(
            f"{what} is {place!r}: a job's own directory is removed when it ends; give the absolute path of a place on "
            "the cluster's head, or the address of a storage"
        )
