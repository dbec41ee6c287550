"""What a job runs: it can tell an old Python, and says where the results begin."""

from __future__ import annotations

import ast
import io
import re
import sys
import tomllib
from pathlib import Path

import pytest

from cluster import driver
from cluster.driver import NEEDED, RESULTS, Announced, complaint

ROOT = Path(__file__).parents[2]


def test_this_machine_can_run_the_command() -> None:
    assert complaint() is None


def test_an_old_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "OLDEST", (sys.version_info.major, sys.version_info.minor + 1))
    said = complaint()
    assert said is not None
    assert re.search(
        r"the cluster's python3 is 3\.\d+.*or newer is needed; start Ray on the cluster in", said
    )


def test_a_missing_module_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "NEEDED", ("click", "nosuch_module", "neither"))
    assert "has no nosuch_module, neither; start Ray" in (complaint() or "")


def test_it_needs_what_the_project_depends_on() -> None:
    imported = {"pillow": "PIL", "scikit-learn": "sklearn"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.split(r"[><=\[]", dependency)[0] for dependency in project["dependencies"]]
    assert {imported.get(name, name) for name in names} == set(NEEDED)


def test_an_old_python_understands_it() -> None:
    ast.parse(Path(driver.__file__).read_text(), feature_version=(3, 7))


def test_results_are_announced_once() -> None:
    stream = io.StringIO()
    out = Announced(stream)
    assert out.write("") == 0
    assert stream.getvalue() == ""
    print("a table", file=out)
    print("and more", file=out)
    out.flush()
    assert stream.getvalue() == f"{RESULTS}\na table\nand more\n"
