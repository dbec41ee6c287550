"""What goes along with a job, and what does not."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from cluster import packing
from cluster.packing import Package, data_files, module_files, own_files, pack
from ensemble.errors import DataError, UsageError


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A user's directory: a module that imports another of its own, a package, a table, a folder of data."""
    for name, text in {
        "my_nets.py": "import torch\nfrom my_layers import act\n\ndef small(shape, outputs): ...\n",
        "my_layers.py": "def act():\n    import my_package.deep\n",
        "my_package/__init__.py": "",
        "my_package/deep.py": "from . import sibling\n",
        "my_package/sibling.py": "",
        "my_package/table.json": "{}",
        "my_package/__pycache__/deep.cpython-311.pyc": "compiled",
        "my_package/.secret": "hidden",
        "unrelated.py": "raise SystemExit('imported')",
        "people.csv": "a,b\n1,2\n",
        "data/x/one.png": "png",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def names_in(package: Package) -> set[str]:
    with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


def test_modules_go_along_with_what_they_import_from_here(here: Path) -> None:
    """Also what is imported within a function; nothing that is not reached, hidden or compiled. None of it is run."""
    assert set(module_files(["my_nets:small"], here)) == {
        "my_nets.py",
        "my_layers.py",
        "my_package/__init__.py",
        "my_package/deep.py",
        "my_package/sibling.py",
        "my_package/table.json",
    }


def test_installed_modules_stay(here: Path) -> None:
    assert module_files(["sklearn.datasets:load_iris"], here) == {}


def test_a_module_that_is_nowhere_is_refused(here: Path) -> None:
    with pytest.raises(UsageError, match="cannot find module 'nowhere' of 'nowhere:f'"):
        module_files(["nowhere:f"], here)


def test_a_module_that_is_no_python_is_refused(here: Path) -> None:
    (here / "my_nets.py").write_text("def (")
    with pytest.raises(UsageError, match=r"my_nets.py' is no Python"):
        module_files(["my_nets:small"], here)


def test_relative_data_go_along_and_absolute_stay(here: Path) -> None:
    assert set(data_files("people.csv", here, option="--data")) == {"people.csv"}
    assert set(data_files("./people.csv", here, option="--data")) == {"people.csv"}
    assert set(data_files("data", here, option="--data")) == {"data/x/one.png"}
    for elsewhere in (str(here / "people.csv"), "~/people.csv", "digits", "fashion-mnist"):
        assert data_files(elsewhere, here, option="--data") == {}


def test_data_that_are_not_here_are_refused(here: Path) -> None:
    with pytest.raises(DataError, match=r"--test is 'nowhere.csv', and there is no such file"):
        data_files("nowhere.csv", here, option="--test")
    with pytest.raises(UsageError, match=r"--data is '../x.csv': a relative path travels"):
        data_files("../x.csv", here, option="--data")


def test_what_is_too_large_is_refused_by_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LARGEST", 10 * 2**20)
    with (here / "people.csv").open("wb") as file:
        file.truncate(30 * 2**20)
    with pytest.raises(UsageError, match=r"at most 10 MB do; the largest file is 'people.csv' with 30 MB"):
        pack({"data": "people.csv"}, here)


def test_a_package_holds_all_of_it_and_is_named_by_its_content(here: Path) -> None:
    options = {"net": "my_nets:small", "data": "people.csv", "test": 0.2, "loss": "auto", "members": 3}
    package = pack(options, here)
    names = names_in(package)
    assert {"ensemble/cli/main.py", "cluster/driver.py", "my_nets.py", "people.csv"} <= names
    assert {name for name in own_files() if name.endswith(".html")} <= names, "templates of the report"
    assert not {name for name in names if "unrelated" in name or "__pycache__" in name}
    assert pack(options, here) == package
    (here / "people.csv").write_text("a,b\n3,4\n")
    assert pack(options, here).name != package.name


def test_a_users_module_does_not_take_the_place_of_ours(here: Path) -> None:
    (here / "ensemble.py").write_text("mine")
    (here / "my_layers.py").write_text("import ensemble")
    files = module_files(["my_nets:small"], here)
    assert "ensemble.py" not in files
