"""Bounds that keep a hostile or mistaken file from exhausting the machine before it is understood."""

from __future__ import annotations

from ensemble.errors import DataError

MOST_BYTES = 64 * 2**30
"""Rows are held in memory; a file that declares more than this is a mistake or an attack."""
MOST_EXPANSION = 1000
"""Deflate cannot expand more than 1032-fold, and no real data comes near it."""
SMALL = 2**20
"""Below a mebibyte of contents an expansion hurts nobody: a few thousand equal labels compress very well."""


def check_expansion(name: str, *, declared: int, compressed: int) -> None:
    """Refuse contents that could not or should not be unpacked.

    Args:
        name: The file, as messages name it.
        declared: Bytes that the file says it holds.
        compressed: Bytes that it occupies.

    Raises:
        DataError: more than 64 GiB, or more than a thousandfold expansion.
    """
    if declared > MOST_BYTES:
        raise DataError(
            f"{name} declares {declared:,} bytes of contents; more than 64 GiB is not read into memory"
        )
    if declared > SMALL and declared > MOST_EXPANSION * compressed:
        raise DataError(
            f"{name} declares {declared:,} bytes in {compressed:,} compressed ones, a thousandfold and more: "
            "it is damaged, or made to fill the memory; write it again uncompressed if it is genuine"
        )
