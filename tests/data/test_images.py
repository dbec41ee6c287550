"""Folders of images: order, channels, splits, and files that must be refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ensemble.data.images import read_images
from ensemble.errors import DataError
from tests.data.files import write_images


def test_folders_are_classes_in_sorted_order(tmp_path: Path) -> None:
    source = read_images(write_images(tmp_path))
    assert isinstance(source.rows.x, np.ndarray)
    assert source.rows.x.shape == (8, 3, 5, 6)
    assert source.rows.x.dtype == np.uint8
    assert source.rows.x[:, 0, 0, 0].tolist() == [0, 40, 80, 120, 1, 41, 81, 121]
    assert source.rows.y is not None
    assert source.rows.y.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert source.rows.names == ("cat", "dog")
    assert source.rows.where(4) == repr(str(tmp_path / "dog" / "0.png"))
    assert source.test is None
    assert source.notes == ()


def test_channels_are_not_mixed_up(tmp_path: Path) -> None:
    write_images(tmp_path)
    Image.new("RGB", (6, 5), (1, 2, 3)).save(tmp_path / "cat" / "0.png")
    x = read_images(tmp_path).rows.x
    assert isinstance(x, np.ndarray)
    assert x[0, :, 4, 5].tolist() == [1, 2, 3]


def test_greyscale_stays_one_channel_and_mixtures_are_said(tmp_path: Path) -> None:
    grey = read_images(write_images(tmp_path, mode="L"))
    assert isinstance(grey.rows.x, np.ndarray)
    assert grey.rows.x.shape == (8, 1, 5, 6)
    Image.new("RGBA", (6, 5)).save(tmp_path / "cat" / "0.png")
    mixed = read_images(tmp_path)
    assert isinstance(mixed.rows.x, np.ndarray)
    assert mixed.rows.x.shape == (8, 3, 5, 6)
    assert mixed.notes == ("images converted to RGB: 7 of mode L, 1 of mode RGBA",)


def test_palette_with_transparency_is_converted_without_warning(tmp_path: Path) -> None:
    write_images(tmp_path)
    Image.new("P", (6, 5)).save(tmp_path / "cat" / "0.png", transparency=b"\x00\x01")
    assert read_images(tmp_path).notes == ("images converted to RGB: 1 of mode P",)


def test_train_and_test_are_the_splits(tmp_path: Path) -> None:
    write_images(tmp_path / "train", each=3)
    write_images(tmp_path / "test", each=2)
    source = read_images(tmp_path)
    assert (len(source.rows), len(source.test or ())) == (6, 4)
    write_images(tmp_path / "valid")
    with pytest.raises(DataError, match=r"beside it 'valid'; .*move the other folders out"):
        read_images(tmp_path)


def test_class_may_be_called_train(tmp_path: Path) -> None:
    write_images(tmp_path)
    (tmp_path / "dog").rename(tmp_path / "train")
    assert read_images(tmp_path).rows.names == ("cat", "train")


def test_several_sizes_are_refused_with_both_files(tmp_path: Path) -> None:
    write_images(tmp_path)
    Image.new("RGB", (7, 5)).save(tmp_path / "dog" / "2.png")
    with pytest.raises(DataError, match=r"0\.png' is 6×5 pixels, but .*dog/2\.png' is 7×5"):
        read_images(tmp_path)


def test_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    write_images(tmp_path)
    (tmp_path / "dog" / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"dog/notes\.txt' is no image"):
        read_images(tmp_path)


def test_truncated_image_is_named(tmp_path: Path) -> None:
    write_images(tmp_path)
    path = tmp_path / "cat" / "1.png"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"cat/1\.png' cannot be read"):
        read_images(tmp_path)


def test_format_that_starts_other_programs_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path)
    Image.new("RGB", (6, 5)).save(tmp_path / "cat" / "4.eps")
    with pytest.raises(DataError, match=r"4\.eps' is no image that can be read"):
        read_images(tmp_path)


def test_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path)
    for limit in (20, 10):  # Pillow warns above the limit and raises above twice the limit
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError, match=r"cat/0\.png' is refused: .*decompression bomb"):
            read_images(tmp_path)


def test_deep_pixels_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    write_images(tmp_path)
    Image.fromarray(np.full((5, 6), 3000, dtype=np.uint16)).save(tmp_path / "cat" / "0.png")
    with pytest.raises(DataError, match=r"cat/0\.png' has pixels of more than 8 bits \(mode I;16\)"):
        read_images(tmp_path)


def test_folders_that_are_not_as_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither idx files .* nor folders of images"):
        read_images(tmp_path)
    write_images(tmp_path)
    (tmp_path / "bird").mkdir()
    with pytest.raises(DataError, match=r"bird' has no image"):
        read_images(tmp_path)
    (tmp_path / "bird" / "nest").mkdir()
    with pytest.raises(DataError, match=r"nest' is not a file"):
        read_images(tmp_path)
    (tmp_path / "bird" / "nest").rmdir()
    (tmp_path / "bird").rmdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "readme.txt").touch()
    with pytest.raises(DataError, match=r"readme.txt' lies beside the class folders"):
        read_images(tmp_path)


def test_images_alone_will_do_where_no_targets_are_needed(tmp_path: Path) -> None:
    part = read_images(write_images(tmp_path) / "cat", labelled=False).rows
    assert (len(part), part.y) == (4, None)
    with pytest.raises(DataError, match=r"neither"):
        read_images(tmp_path / "cat")
