"""Each source string finds its reader; what is no source is refused with what is near."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ensemble.data.sources import is_table, read_source
from ensemble.errors import DataError, UsageError
from tests.data.files import PEOPLE, write_csv, write_idx, write_images


def test_every_kind_finds_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=np.arange(3))
    write_csv(tmp_path / "P.CSV", PEOPLE)
    write_idx(tmp_path / "idx")
    write_images(tmp_path / "images")
    (tmp_path / "own_source.py").write_text("def make():\n    return ([[1], [2], [3]], [1, 2, 3])\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert len(read_source(str(tmp_path / "a.npz")).rows) == 3
    assert len(read_source(str(tmp_path / "P.CSV"), target="label").rows) == 10
    assert len(read_source(str(tmp_path / "idx")).rows) == 20
    assert len(read_source(str(tmp_path / "images")).rows) == 8
    assert len(read_source("own_source:make").rows) == 3
    assert len(read_source("iris").rows) == 150


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("digit", "'digit' is no data source .did you mean 'digits'"),
        ("breastcancer", "did you mean 'breast_cancer'"),
        ("fashion_mnist", "did you mean 'fashion-mnist'"),
        ("", "'' is no data source; a source is a bundled set"),
        ("gone.csv", "there is no file 'gone.csv'; looked in"),
        ("gone.npz", "there is no file 'gone.npz'"),
        ("x" * 5000, "is no data source"),
    ],
)
def test_what_is_no_source_is_refused(source: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_source(source)


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.touch()
    with pytest.raises(DataError, match=r"is a file of another kind"):
        read_source(str(path))


def test_target_is_for_tables() -> None:
    with pytest.raises(UsageError, match=r"target is 'label', but 'iris' is no table"):
        read_source("iris", target="label")
    assert is_table("a.CSV")
    assert not is_table("iris")


def test_rows_are_checked(tmp_path: Path) -> None:
    x, y = np.zeros((3, 2)), np.arange(3)
    bad = x + np.array([[0, 0], [0, np.nan], [0, 0]])
    np.savez(tmp_path / "a.npz", x=bad, y=y)
    with pytest.raises(DataError, match=r"row 1 of x in .*a.npz.*column 1"):
        read_source(str(tmp_path / "a.npz"))
    np.savez(tmp_path / "a.npz", x=x, y=y, x_test=bad, y_test=y)
    with pytest.raises(DataError, match=r"row 1 of x_test in"):
        read_source(str(tmp_path / "a.npz"))
    np.savez(tmp_path / "a.npz", x=x, y=y, x_test=x, y_test=y[:2])
    with pytest.raises(DataError, match=r"the test part of .* has 3 rows, but 2 targets"):
        read_source(str(tmp_path / "a.npz"))
