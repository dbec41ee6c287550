"""Text from outside (names of classes, paths, messages of errors) made safe for a terminal."""

from __future__ import annotations

import re

# C0 but tab and newline, DEL, C1; marks that reorder what is read; halves of characters.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """``text`` without control characters; tabs and newlines stay."""
    return _UNSAFE.sub("", text)
