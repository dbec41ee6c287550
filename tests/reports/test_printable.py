"""No control character of others reaches the terminal."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from ensemble.reports.printable import printable


@given(st.text(st.characters(categories=["Cc", "Cs", "L", "Zs"])))
def test_only_tabs_and_newlines_are_left_of_control_characters(text):
    left = printable(text)
    assert {c for c in left if unicodedata.category(c) == "Cc"} <= {"\t", "\n"}
    left.encode()
    assert [c for c in text if c.isprintable()] == [c for c in left if c.isprintable()]


def test_reordering_marks_go():
    assert printable("a\u202egpj.exe\u2066b") == "agpj.exeb"
