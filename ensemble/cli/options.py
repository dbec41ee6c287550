"""Options made from the configuration's fields: names, defaults and help are written once, in ``config.py``.

An option carries text to the configuration and nothing else: what a value may be is known to pydantic alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import click

from ensemble.config import FIELDS, SECTIONS, RunConfig, choices, make_config, read_toml

R = TypeVar("R")

HEADINGS = {
    "data": "Data",
    "net": "Network",
    "train": "Training",
    "ensemble": "Ensemble",
    "execution": "Execution",
}
"""Section of the configuration → its heading in ``--help``."""

PLACEHOLDERS = {
    "data": "SOURCE",
    "target": "COLUMN",
    "test": "SOURCE|FRACTION",
    "valid": "FRACTION",
    "data_dir": "DIR",
    "net": "NAME|MODULE:FUNCTION",
    "hidden": "N,N,…",
    "dropout": "P",
    "clip_norm": "C",
    "clip_value": "C",
    "loss": "NAME|MODULE:FUNCTION",
    "address": "ADDRESS",
    "resources": "NAME=AMOUNT,…",
    "stack": "auto|N",
    "checkpoint_every": "SECONDS",
    "storage": "ADDRESS|DIR",
    "silence": "SECONDS",
}
"""What stands for a value in the help, where the field's type says too little."""

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
)
quiet_option = click.option("--quiet", is_flag=True, help="Show no progress.")


class SectionedCommand(click.Command):
    """A command whose help puts the configuration's options under the headings of their sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {
            heading: [] for heading in (*HEADINGS.values(), "Options")
        }
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                section = FIELDS.get(param.name or "")
                groups[HEADINGS[section] if section else "Options"].append(record)
        for heading, records in groups.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def spelled(field: str) -> str:
    """The option of a field: ``clip_norm`` → ``--clip-norm``."""
    return f"--{field.replace('_', '-')}"


def field_option(field: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """A decorator that adds the option of one field; the command receives its text, or None if not given."""
    info = SECTIONS[FIELDS[field]].model_fields[field]
    about = info.description or ""
    if info.annotation is bool:
        # Both ways, because the command line has to win over a file that says true.
        return click.option(
            f"{spelled(field)}/--no-{field.replace('_', '-')}", field, default=None, help=about
        )
    if info.default is not None and "[default:" not in about:
        about = f"{about}  [default: {info.default}]"
    return click.option(spelled(field), field, metavar=_placeholder(field), default=None, help=about)


def field_options(*fields: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """A decorator that adds the options of several fields, in their order; absent ones arrive as None."""

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        for field in reversed(fields):
            function = field_option(field)(function)
        return function

    return decorate


def run_options(function: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options of all fields and ``--config``; it receives ``config``, a ``RunConfig``."""

    @functools.wraps(function)
    def command(*args: Any, config_file: Path | None, **values: Any) -> R:
        given = {field: values.pop(field) for field in FIELDS}
        return function(*args, config=merge(given, config_file), **values)

    with_file = click.option(
        "--config",
        "config_file",
        metavar="FILE.toml",
        type=click.Path(path_type=Path),
        help="Options by the same names; those on the command line win.",
    )(command)
    return field_options(*FIELDS)(with_file)


def merge(given: Mapping[str, Any], file: Path | None = None) -> RunConfig:
    """The configuration: defaults, then the file's values, then those given on the command line.

    Args:
        given: Values of options by field; None means that the option was not given.
        file: A TOML file of options.

    Raises:
        UsageError: an unknown key or a value that is refused, named as it was typed and where.
    """
    in_file = read_toml(file) if file is not None else {}
    typed = {field: value for field, value in given.items() if value is not None}
    names = {field: f"{field.replace('_', '-')} in {str(file)!r}" for field in in_file}
    names |= {field: spelled(field) for field in typed}
    return make_config(in_file | typed, names=names)


def typed(values: Mapping[str, Any]) -> list[str]:
    """The words that a user would type for values of fields; None is not typed."""
    return [_word(field, value) for field, value in values.items() if value is not None]


def _word(field: str, value: Any) -> str:
    if isinstance(value, bool):
        return spelled(field) if value else f"--no-{field.replace('_', '-')}"
    if isinstance(value, Mapping):
        value = ",".join(f"{name}={amount}" for name, amount in value.items())
    elif isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    return f"{spelled(field)}={value}"


def _placeholder(field: str) -> str:
    if field in PLACEHOLDERS:
        return PLACEHOLDERS[field]
    if choices(field):
        return "|".join(choices(field))
    return {int: "N", float: "X"}[_kind(SECTIONS[FIELDS[field]].model_fields[field].annotation)]


def _kind(annotation: Any) -> Any:
    """An annotation without its constraints and None: ``int`` of ``Annotated[int, …] | None``."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        (kind,) = {_kind(part) for part in get_args(annotation)} - {type(None)}
        return kind
    return annotation
