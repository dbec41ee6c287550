"""A user's own MODULE:FUNCTION."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ensemble.errors import UsageError
from ensemble.functions import function_digest, is_function_path, load_function


def test_a_function_is_found_and_known_by_its_file() -> None:
    path = "tests.nets.users:good"
    assert load_function(path).__name__ == "good"
    here = Path(__file__).parent / "nets" / "users.py"
    assert function_digest(path) == hashlib.sha256(here.read_bytes()).hexdigest()


def test_the_current_directory_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend("")  # so that sys.path is put back afterwards
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_alone.py").write_text("def net():\n    return 7\n")
    assert load_function("mine_alone:net")() == 7


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_module:f", "cannot import 'no_such_module'"),
        ("tests.nets.users:godo", "has no function 'godo'; it has .*good"),
    ],
)
def test_what_is_not_there_is_refused(path: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_function(path)


def test_a_module_that_raises_is_refused_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "raises_on_import.py").write_text("1 / 0\n")
    with pytest.raises(UsageError, match="ZeroDivisionError: division by zero"):
        load_function("raises_on_import:f")


def test_a_function_without_a_source_file_is_refused() -> None:
    with pytest.raises(UsageError, match="has no source file"):
        function_digest("math:sqrt")


@pytest.mark.parametrize(
    ("name", "is_one"), [("a.b:c", True), ("C:/data.csv", False), ("digits", False), (":f", False)]
)
def test_what_reads_as_a_function(name: str, is_one: bool) -> None:
    assert is_function_path(name) is is_one
