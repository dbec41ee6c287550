"""The npz reader: arrays, never pickle, and nothing but DataError whatever the bytes."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.data.mapped import mapped_file
from ensemble.data.npz import read_npz
from ensemble.errors import DataError


def npz_bytes(*, compressed: bool = False, **arrays: Any) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def npz(path: Path, **arrays: Any) -> Path:
    path.write_bytes(npz_bytes(**arrays))
    return path


X, Y = np.arange(12.0).reshape(4, 3), np.array([0, 1, 0, 1])
BASES = [npz_bytes(x=X, y=Y), npz_bytes(compressed=True, x=X, y=Y)]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i2", "|u1"])
def test_reads_what_numpy_wrote(tmp_path: Path, compressed: bool, order: Any, dtype: str) -> None:
    x = np.asarray(X, dtype=dtype, order=order)
    source = read_npz(npz(tmp_path / "a.npz", compressed=compressed, x=x, y=np.array(["b", "a", "b", "a"])))
    assert isinstance(source.rows.x, np.ndarray)
    assert np.array_equal(source.rows.x, X)
    assert source.rows.x.dtype.isnative
    assert source.rows.names == ("a", "b")
    assert source.test is None


def test_test_rows_come_along_and_other_arrays_are_said(tmp_path: Path) -> None:
    source = read_npz(npz(tmp_path / "a.npz", x=X, y=Y, x_test=X[:2], y_test=Y[:2], weights=Y))
    assert source.test is not None
    assert len(source.test) == 2
    assert source.notes == ("other arrays are left alone: weights",)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(BASES),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
)
def test_mutated_files_load_or_are_refused(
    base: bytes, changes: list[tuple[float, int]], keep: float
) -> None:
    content = bytearray(base if keep > 0.3 else base[: int(len(base) * keep * 3)])
    for place, value in changes:
        if content:
            content[int(place * len(content))] = value
    _load_or_refuse(bytes(content))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_members_load_or_are_refused(member: bytes) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + member)
    _load_or_refuse(file.getvalue())
    _load_or_refuse(member)


def _load_or_refuse(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        path.write_bytes(content)
        try:
            source = read_npz(path)
        except DataError:
            return
    assert isinstance(source.rows.x, np.ndarray)


def test_pickle_is_not_read(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path(tmp_path / "ran").touch, ())

    path = npz(tmp_path / "a.npz", x=np.array([[Bomb()]], dtype=object), y=Y)
    with pytest.raises(DataError, match=r"array 'x' of .* Python objects, which only pickle could read"):
        read_npz(path)
    assert not (tmp_path / "ran").exists()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no array 'y'; it has 'x'"):
        read_npz(npz(tmp_path / "a.npz", x=X))
    with pytest.raises(DataError, match=r"no array 'x'; it has 'y'"):
        read_npz(npz(tmp_path / "a.npz", y=Y))
    with pytest.raises(DataError, match=r"no array 'y_test'"):
        read_npz(npz(tmp_path / "a.npz", x=X, y=Y, x_test=X))
    with pytest.raises(DataError, match=r"no array 'x_test'"):
        read_npz(npz(tmp_path / "a.npz", x=X, y=Y, y_test=Y))
    assert read_npz(npz(tmp_path / "a.npz", x=X), labelled=False).rows.y is None


def test_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a thousandfold"):
        read_npz(npz(tmp_path / "a.npz", compressed=True, x=np.zeros((3000, 1000)), y=np.zeros(3000)))


def test_few_equal_labels_are_no_bomb(tmp_path: Path) -> None:
    source = read_npz(npz(tmp_path / "a.npz", compressed=True, x=np.zeros((3000, 5)), y=np.zeros(3000)))
    assert len(source.rows) == 3000


def test_header_that_promises_more_than_is_there_takes_no_memory(tmp_path: Path) -> None:
    for shape in ((10**9, 10**9), (-4, -3), (5, 3)):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("x.npy", header.getvalue() + X.tobytes())
        with pytest.raises(DataError, match=r"array 'x' .* declares shape .* holds 96 bytes"):
            read_npz(tmp_path / "a.npz")


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    with pytest.raises(DataError, match=r"not a sound .npz"):
        read_npz(tmp_path / "a.npy")
    with pytest.raises(DataError, match=r"cannot read .*No such file"):
        read_npz(tmp_path / "gone.npz")


def test_what_stays_in_the_file_is_checked_like_what_is_read(tmp_path: Path) -> None:
    """A mapped array is nobody's to check later: fails if the archive's checksum is not verified."""
    x = np.arange(30_000.0).reshape(-1, 3)  # so much that reading the header does not reach its end
    path = npz(tmp_path / "a.npz", x=x)
    mapped = read_npz(path, labelled=False, mapped=True).rows.x
    assert isinstance(mapped, np.ndarray)
    assert mapped_file(mapped) is not None
    assert np.array_equal(mapped, x)
    content = bytearray(path.read_bytes())
    content[content.index(x.tobytes()) + 200_000] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"not a sound .npz"):
        read_npz(path, labelled=False, mapped=True)


@pytest.mark.parametrize("compressed", [False, True])
def test_mapped_arrays_keep_their_order_and_bytes(tmp_path: Path, compressed: bool) -> None:
    for x in (np.asfortranarray(X), X.astype(">f8")):
        path = npz(tmp_path / "a.npz", compressed=compressed, x=x, y=Y)
        assert np.array_equal(np.asarray(read_npz(path, mapped=True).rows.x), X)
