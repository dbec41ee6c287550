"""The idx reader: what it reads, and that hostile bytes are refused and nothing else."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.data.idx import IMAGES, LABELS, find_idx, read_idx, read_pairs
from ensemble.errors import DataError
from tests.data.files import idx_bytes, write_idx

VALID = idx_bytes(np.arange(24).reshape(2, 3, 4))


@pytest.mark.parametrize("zipped", [False, True])
def test_reads_what_was_written(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(VALID) if zipped else VALID)
    assert np.array_equal(read_idx(path, axes=IMAGES), np.arange(24).reshape(2, 3, 4))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([VALID, gzip.compress(VALID, mtime=0), b"\x1f\x8b", b""]),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4),
    st.integers(0, 70),
    st.binary(max_size=8),
)
def test_mutated_files_load_or_are_refused(
    base: bytes, changes: list[tuple[int, int]], length: int, tail: bytes
) -> None:
    content = bytearray(base[:length] + tail)
    for place, value in changes:
        if place < len(content):
            content[place] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images"
        path.write_bytes(content)
        try:
            array = read_idx(path, axes=IMAGES)
        except DataError:
            return
    assert array.dtype == np.uint8
    assert array.ndim == 3


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("length", [0, 1, 3, 10, 17, len(VALID) - 1])
def test_truncated_file_is_refused(tmp_path: Path, zipped: bool, length: int) -> None:
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(VALID)[:length] if zipped else VALID[:length])
    with pytest.raises(DataError, match=r"truncated|magic|damaged"):
        read_idx(path, axes=IMAGES)


def test_wrong_magic_number_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(VALID)
    with pytest.raises(DataError, match=r"starts with 00 00 08 03, but an idx file of labels .* 00 00 08 01"):
        read_idx(path, axes=LABELS)


def test_gzip_checksum_is_verified(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(VALID))
    content[-6] ^= 1
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged or truncated gzip"):
        read_idx(path, axes=IMAGES)


def test_header_that_promises_terabytes_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(bytes((0, 0, 8, 3)) + b"\xff" * 12))
    with pytest.raises(DataError, match=r"more than 64 GiB"):
        read_idx(path, axes=IMAGES)
    path.write_bytes(gzip.compress(bytes((0, 0, 8, 3, 0, 0, 16, 0, 0, 0, 16, 0, 0, 0, 16, 0))))
    with pytest.raises(DataError, match=r"a thousandfold"):
        read_idx(path, axes=IMAGES)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*No such file"):
        read_idx(tmp_path / "gone", axes=IMAGES)


def test_pairs_are_found_and_read(tmp_path: Path) -> None:
    source = read_pairs(find_idx(write_idx(tmp_path)))
    assert source.test is not None
    assert source.rows.x.shape == (20, 1, 5, 5)  # type: ignore[union-attr]
    assert len(source.test) == 10
    assert source.rows.y.tolist() == [row % 4 for row in range(20)]  # type: ignore[union-attr]


def test_plain_file_is_preferred_to_its_gzipped_twin(tmp_path: Path) -> None:
    write_idx(tmp_path)
    write_idx(tmp_path, zipped=False)
    assert find_idx(tmp_path)["train"][0].name == "train-images-idx3-ubyte"


def test_two_files_for_one_part_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "train2-images-idx3-ubyte").write_bytes(VALID)
    with pytest.raises(DataError, match=r"several files for the train rows"):
        find_idx(tmp_path)


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"images of the test rows, but no labels"):
        find_idx(tmp_path)


def test_pair_that_is_alone_is_all_the_rows(tmp_path: Path) -> None:
    write_idx(tmp_path)
    for path in tmp_path.glob("train*"):
        path.unlink()
    source = read_pairs(find_idx(tmp_path))
    assert (len(source.rows), source.test) == (10, None)
    assert "only test files" in source.notes[0]


def test_labels_of_another_number_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path, zipped=False)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(19)))
    with pytest.raises(DataError, match=r"20 images, but .* 19 labels"):
        read_pairs(find_idx(tmp_path))


def test_label_beyond_the_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2 of .* label 2, but there are 2 classes"):
        read_pairs(find_idx(write_idx(tmp_path)), names=("a", "b"))


def test_images_without_pixels_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path, zipped=False)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((20, 0, 5))))
    with pytest.raises(DataError, match=r"they are empty"):
        read_pairs(find_idx(tmp_path))
