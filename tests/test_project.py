"""The project's own files: what the README promises exists, and nothing promises what does not."""

import os
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from ensemble.cli.main import COMMANDS, cli
from ensemble.config import FIELDS, make_config
from ensemble.errors import (
    ClusterLostError,
    EnsembleError,
    RunError,
    TooFewMembersError,
    UsageError,
)

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md")


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def lines(page: str, program: str) -> list[list[str]]:
    """The lines of a page's shell blocks that call a program, split as a shell does."""
    split = [shlex.split(line, comments=True) for block in blocks(page, "sh") for line in block.splitlines()]
    return [words[1:] for words in split if words[:1] == [program]]


def command_of(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, name
    return command


def options_of(name: str) -> set[str]:
    return {name for param in command_of(name).params for name in (*param.opts, *param.secondary_opts)}


@pytest.mark.parametrize("words", lines("README.md", "ensemble"), ids=" ".join)
def test_every_command_of_the_readme_is_one(words):
    name, *arguments = words
    # Parsed and not run: unknown options, missing arguments and left-over words all raise.
    command_of(name).make_context(name, list(arguments))


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_of_the_pages_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.M))
    for words in lines(page, "make"):
        assert words[0] in targets
    assert {"setup", "demo", "test", "check"} <= targets


def test_every_option_that_the_readme_names_exists_somewhere():
    there = {"--help"}.union(*(options_of(name) for name in COMMANDS))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) <= there


def test_every_option_of_train_is_in_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = {o for o in options_of("train") if f"`{o}`" not in text and not o.startswith("--no-")}
    assert missing - {"--help"} == set()


def test_every_command_is_in_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"ensemble {name}" not in text] == []


def test_every_configuration_of_the_readme_is_valid():
    for block in blocks("README.md", "toml"):
        make_config(tomllib.loads(block))


def test_the_readme_lists_the_exit_codes_of_the_errors():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", text, flags=re.M)}
    raised = {
        e.exit_code for e in (EnsembleError, UsageError, RunError, TooFewMembersError, ClusterLostError)
    }
    assert raised <= codes
    assert {0, 3, 130, 143} <= codes


def test_paths_that_the_plan_of_the_house_names_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w/])(?:ensemble|cluster)/[\w/]*(?:\.py)?", text))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.strip().startswith("Apache License")
    assert "END OF TERMS AND CONDITIONS" in text
    assert text.rstrip().endswith("limitations under the License.")


def test_what_ci_runs_can_be_run():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "make check" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_option_names_are_free_for_the_commands_own():
    assert {"run", "json", "quiet", "config", "out", "force"}.isdisjoint(FIELDS)
