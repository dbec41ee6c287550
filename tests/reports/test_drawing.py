from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.reports.drawing import INK, MAIN, apart, figure, short, svg

ROOT = Path(__file__).parents[2]


def drawing(name: str = "one") -> str:
    with figure() as (made, (ax,)):
        ax.plot([1, 2], [3, 4], color=MAIN)
        ax.set_xlabel("a <b> & $c$", color=INK)
        return svg(made, name, title="T <1>", description="D & d")


def test_colours_are_those_of_the_page() -> None:
    found = drawing()
    assert "var(--main)" in found
    assert "var(--ink)" in found
    assert "#0102" not in found
    assert "font-family" not in found
    assert "<metadata" not in found


def test_names_are_escaped_and_no_formula_is_read() -> None:
    found = drawing()
    assert "T &lt;1&gt;</title>" in found
    assert "a &lt;b&gt; &amp; $c$" in found


def test_a_drawing_depends_on_nothing_but_itself() -> None:
    import matplotlib

    before = matplotlib.rcParams["font.size"]
    first = drawing()
    assert drawing() == first
    assert drawing("two") != first
    assert matplotlib.rcParams["font.size"] == before


def test_drawing_leaves_pyplot_alone_and_rendering_is_imported_late() -> None:
    code = (
        "import sys, ensemble.reports.html, ensemble.runs.publishing\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from tests.reports.test_drawing import drawing; drawing()\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr


@given(st.lists(st.floats(-5, 5), max_size=6), st.floats(0.01, 1))
def test_labels_stand_apart_in_their_order(heights: list[float], least: float) -> None:
    placed = apart(heights, least)
    order = sorted(range(len(heights)), key=lambda at: heights[at])
    ranked = [placed[at] for at in order]
    assert all(b - a >= least - 1e-9 for a, b in pairwise(ranked))
    assert sum(placed) == pytest.approx(sum(heights), abs=1e-6)


def test_labels_that_are_apart_stay() -> None:
    assert apart([3.0, 1.0], 0.5) == [3.0, 1.0]


def test_long_names_are_cut_to_one_line() -> None:
    assert short("a\nb\x1b") == "a b"
    assert len(short("x" * 99)) == 18
