"""The group: lazy commands, suggestions, and one exit code for every way to end."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ensemble import errors
from ensemble.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "ray", "pydantic", "numpy", "rich", "sklearn", "pyarrow"}


@click.command()
@click.argument("how")
def probe(how: str) -> None:
    """Ends in the way that is asked for."""
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "exit 3":
        click.get_current_context().exit(3)
    if how == "bug":
        raise ZeroDivisionError("a \x1b[31mred\x1b[0m division")
    if how == "pipe of another":
        raise BrokenPipeError("not standard output")
    if how == "flood":
        while True:
            click.echo("more")
    if how == "last words":
        print("less than a buffer")
    if hasattr(errors, how):
        raise getattr(errors, how)("members is 0: \x1b[2Jgive at least 1")


@pytest.fixture
def end(monkeypatch):
    def run(how: str) -> Result:
        monkeypatch.setitem(COMMANDS, "probe", (f"{__name__}:probe", "For the tests."))
        return CliRunner().invoke(cli, ["probe", how])

    return run


def test_help_imports_nothing_heavy():
    code = (
        "import sys, atexit; from ensemble.cli.main import main; sys.argv = ['ensemble', '--help']\n"
        f"atexit.register(lambda: print('heavy:', sorted({HEAVY} & set(sys.modules))))\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert "Train an ensemble" in done.stdout
    assert done.stdout.endswith("heavy: []\n"), done.stderr


def test_module_runs_as_a_program():
    command = [sys.executable, "-m", "ensemble.cli.main", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ensemble [OPTIONS] COMMAND")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_stands(name):
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert f"Usage: cli {name}" in result.output


def test_help_lists_commands_in_the_order_of_the_table():
    lines = CliRunner().invoke(cli, ["--help"]).output.partition("Commands:")[2].splitlines()
    assert [line.split()[0] for line in lines if line.strip()] == list(COMMANDS)


def test_version():
    result = CliRunner().invoke(cli, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("ensemble ")


@pytest.mark.parametrize(
    ("typed", "hint"), [("trian", "'train'"), ("eval", "'evaluate'"), ("xyzzy", "train, resume")]
)
def test_an_unknown_command_names_the_nearest(typed, hint):
    result = CliRunner().invoke(cli, [typed])
    assert result.exit_code == 2
    assert typed in result.stderr
    assert hint in result.stderr


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("EnsembleError", 1),
        ("UsageError", 2),
        ("DataError", 2),
        ("RunError", 2),
        ("TooFewMembersError", 4),
        ("ClusterLostError", 5),
    ],
)
def test_an_error_of_ours_is_one_clean_line_and_its_code(end, name, code):
    result = end(name)
    assert result.exit_code == code
    assert result.stderr == "error: members is 0: [2Jgive at least 1\n"
    assert result.stdout == ""


def test_an_exit_code_of_a_command_is_kept(end):
    assert end("exit 3").exit_code == 3


def test_interrupted_is_130(end):
    result = end("interrupt")
    assert result.exit_code == 130
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("how", "name"), [("bug", "ZeroDivisionError"), ("pipe of another", "BrokenPipeError")]
)
def test_an_unexpected_exception_is_a_bug_of_ours(end, how, name):
    result = end(how)
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "\x1b" not in result.stderr
    assert f"unexpected {name}: this is a bug in ensemble" in result.stderr.splitlines()[-1]


def test_usage_errors_are_2(monkeypatch):
    monkeypatch.setitem(COMMANDS, "probe", (f"{__name__}:probe", "For the tests."))
    assert CliRunner().invoke(cli, ["probe"]).exit_code == 2
    assert CliRunner().invoke(cli, ["--no-such-option"]).exit_code == 2


@pytest.mark.parametrize("how", ["flood", "last words"])
def test_a_reader_that_leaves_ends_it_quietly(how):
    code = (
        "import sys; from ensemble.cli.main import COMMANDS, main\n"
        f"COMMANDS['probe'] = ('{__name__}:probe', ''); sys.argv = ['ensemble', 'probe', '{how}']\n"
        "sys.stdin.readline(); main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    process.stdout.close()  # before it writes anything
    process.stdin.write("go\n")
    process.stdin.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141
    assert error == ""
