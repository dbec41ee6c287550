"""Tiny files of every kind, made by the tests themselves."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from PIL import Image

from ensemble.data.dataset import Array


def idx_bytes(array: Array) -> bytes:
    """An idx file of unsigned bytes."""
    header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, dtype=">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def write_idx(
    directory: Path, *, rows: int = 20, classes: int = 4, side: int = 5, zipped: bool = True
) -> Path:
    """The four files of a small MNIST: pixels and labels of row i follow from i; half as many test rows."""
    directory.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", rows), ("t10k", rows // 2)):
        x = (np.arange(count * side * side) * 7 % 256).reshape(count, side, side)
        for kind, array in (("images-idx3", x), ("labels-idx1", np.arange(count) % classes)):
            content = idx_bytes(array)
            name = f"{part}-{kind}-ubyte{'.gz' if zipped else ''}"
            (directory / name).write_bytes(gzip.compress(content) if zipped else content)
    return directory


def write_csv(path: Path, text: str) -> Path:
    """Lines without their indentation."""
    path.write_text("\n".join(line.strip() for line in text.strip().splitlines()) + "\n", encoding="utf-8")
    return path


def write_images(
    directory: Path, *, each: int = 4, size: tuple[int, int] = (6, 5), mode: str = "RGB"
) -> Path:
    """Class folders ``cat`` and ``dog`` of PNG files, each of one colour."""
    for number, name in enumerate(("cat", "dog")):
        (directory / name).mkdir(parents=True, exist_ok=True)
        for image in range(each):
            colour = Image.new("L", size, 40 * image + number).convert(mode)
            colour.save(directory / name / f"{image}.png")
    return directory


PEOPLE = """
    age,color,member,height,label
    10,red,true,1.5,yes
    ,blue,false,1.6,no
    30,,true,1.7,yes
    40,red,false,1.8,no
    50,blue,true,1.9,yes
    60,red,false,2.0,no
    70,green,true,2.1,yes
    80,red,false,2.2,no
    90,blue,true,2.3,yes
    95,red,false,2.4,no
"""
"""Numbers, categories, booleans, a missing number (line 3) and a missing category (line 4)."""
