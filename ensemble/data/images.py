"""Folders of images: one folder a class, and where they are there ``train/`` and ``test/`` as the splits."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ensemble.data.dataset import Array
from ensemble.data.limits import MOST_BYTES
from ensemble.data.raw import Part, Source, Where
from ensemble.errors import DataError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""Read by Pillow itself. Others it hands to programs such as Ghostscript, which a data set must not start."""
_GREY = {"1", "L", "LA"}
_DEEP = {"I", "F"}


def read_images(directory: Path, *, labelled: bool = True) -> Source:
    """Images as bytes ``(rows, 1 or 3, height, width)`` in sorted order, the folder's name as the target.

    Where no targets are needed, a folder may hold images alone.

    Raises:
        DataError: a file that is no image, images of several sizes, an empty folder, folders beside splits.
    """
    folders = _folders(directory)
    split = {
        folder.name: folder for folder in folders if folder.name in ("train", "test") and _folders(folder)
    }
    if "train" not in split:
        part, notes = _read_part(directory, labelled=labelled)
        return Source(part, notes=notes)
    others = [folder.name for folder in folders if folder.name not in split]
    if others:
        raise DataError(
            f"{str(directory)!r} has train/, and beside it {others[0]!r}; only train/ and test/ are "
            "understood: move the other folders out"
        )
    rows, notes = _read_part(split["train"], labelled=labelled)
    if "test" not in split:
        return Source(rows, notes=notes)
    test, more = _read_part(split["test"], labelled=labelled)
    return Source(rows, test, (*(f"train/: {note}" for note in notes), *(f"test/: {note}" for note in more)))


def _read_part(directory: Path, *, labelled: bool) -> tuple[Part, tuple[str, ...]]:
    folders = _folders(directory)
    if not folders and not labelled:
        files = _files(directory)
        x, notes = _read_files(files)
        return Part(x, None, _where(files)), notes
    if not folders:
        raise DataError(
            f"{str(directory)!r} has neither idx files (*images*idx3*) nor folders of images, one a class"
        )
    stray = [path for path in _visible(directory) if not path.is_dir()]
    if stray:
        raise DataError(f"{str(stray[0])!r} lies beside the class folders; move it into one, or out")
    by_class = {folder.name: _files(folder) for folder in folders}
    files = [file for group in by_class.values() for file in group]
    x, notes = _read_files(files)
    y = np.repeat(np.arange(len(by_class)), [len(group) for group in by_class.values()])
    return Part(x, y, _where(files), tuple(by_class)), notes


def _read_files(files: list[Path]) -> tuple[Array, tuple[str, ...]]:
    """Two passes: headers tell size and channels, so that the pixels go straight to where they stay."""
    modes: Counter[str] = Counter()
    width, height = 0, 0
    for file in files:
        with _opened(file) as image:
            mode, size = image.mode, image.size
        if mode.partition(";")[0] in _DEEP:
            raise DataError(
                f"{str(file)!r} has pixels of more than 8 bits (mode {mode}); convert it to 8 bits, "
                "or hand the images over as float32 in an .npz"
            )
        if modes and size != (width, height):
            raise DataError(
                f"{str(files[0])!r} is {width}×{height} pixels, but {str(file)!r} is {size[0]}×{size[1]}; "
                "resize all images to one size"
            )
        width, height = size
        modes[mode] += 1
    mode = "L" if modes.keys() <= _GREY else "RGB"
    channels = len(mode)  # L: 1, RGB: 3
    if len(files) * channels * height * width > MOST_BYTES:
        raise DataError(
            f"{len(files):,} images of {width}×{height} pixels need more than 64 GiB; resize them"
        )
    x = np.empty((len(files), channels, height, width), dtype=np.uint8)
    for row, file in enumerate(files):
        with _opened(file) as image:
            x[row] = np.moveaxis(np.asarray(image.convert(mode)).reshape(height, width, channels), 2, 0)
    converted = ", ".join(
        f"{count:,} of mode {other}" for other, count in sorted(modes.items()) if other != mode
    )
    kind = "greyscale" if mode == "L" else "RGB"
    return x, (f"images converted to {kind}: {converted}",) if converted else ()


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            # Pillow only warns of images that unpack to hundreds of megabytes; its other warnings are about
            # transparency, which is dropped here, and said.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as image:
                yield image
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(
            f"{str(file)!r} is no image that can be read ({', '.join(FORMATS)}); move it out of the folder"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{str(file)!r} is refused: {error}") from error
    except Exception as error:  # Pillow's decoders raise nearly anything on a damaged file
        raise DataError(f"{str(file)!r} cannot be read: {type(error).__name__}: {error}") from error


def _visible(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot read {str(directory)!r}: {error.strerror}") from error


def _folders(directory: Path) -> list[Path]:
    return [path for path in _visible(directory) if path.is_dir()]


def _files(folder: Path) -> list[Path]:
    files = _visible(folder)
    if not files:
        raise DataError(f"{str(folder)!r} has no image")
    for file in files:
        if not file.is_file():
            raise DataError(f"{str(file)!r} is not a file, and {str(folder)!r} should hold images alone")
    return files


def _where(files: list[Path]) -> Where:
    return lambda row: repr(str(files[row]))
