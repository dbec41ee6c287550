"""From a matplotlib figure to SVG inside a page: the page's colours and fonts, a title, a description.

Colours are names that the page defines for light and dark: a figure is drawn in stand-ins which become ``var(--…)``.
Equal figures make equal SVG. Nothing here touches ``pyplot``, whose state is global.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from ensemble.reports.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

INK, MUTED, GRID, MAIN, OTHER, THIRD, FOURTH = (f"#0102{shade:02x}" for shade in range(3, 10))
"""Stand-ins: text and axes, what steps back, lines to read by, the ensemble, single networks and errors, others."""
NAMES = dict(
    zip(
        (INK, MUTED, GRID, MAIN, OTHER, THIRD, FOURTH),
        ("ink", "muted", "grid", "main", "other", "third", "fourth"),
        strict=True,
    )
)
WIDTH, HEIGHT = 430, 280
"""Of a figure, in pixels at its natural size: two stand side by side on a desk, one fits a phone."""
LONGEST_NAME = 18
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be selected, read aloud, and set in the page's font
    "text.parse_math": False,  # a class may be named $5$
    "font.family": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "axes.titlesize": 10.5,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True)
class Picture:
    """One figure of the page: what it is called, how to read it, and its SVG."""

    name: str
    title: str
    sentence: str
    svg: str
    wide: bool = False


@contextmanager
def figure(
    *, width: int = WIDTH, height: int = HEIGHT, rows: int = 1, ratios: tuple[float, ...] = (1,)
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure and its axes, one below the other, in our style; only inside do texts get their fonts."""
    import matplotlib
    from matplotlib.figure import Figure as NewFigure

    with matplotlib.rc_context(), warnings.catch_warnings():
        # A name in a script that the measuring font lacks is drawn by the page's font all the same.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        matplotlib.rcdefaults()
        for key, value in STYLE.items():
            matplotlib.rcParams[key] = value  # type: ignore[index]  # a Literal of hundreds
        made = NewFigure(figsize=(width / 72, height / 72), layout="constrained")
        axes = made.subplots(rows, 1, sharex=rows > 1, squeeze=False, height_ratios=ratios)
        yield made, list(axes[:, 0])


def picture(drawn: Figure, name: str, *, title: str, sentence: str, wide: bool = False) -> Picture:
    """The finished figure; to be called inside `figure`."""
    return Picture(name, title, sentence, svg(drawn, name, title=title, description=sentence), wide)


def svg(drawn: Figure, name: str, *, title: str, description: str) -> str:
    """An ``<svg>`` element to put into a page, as wide as its place; ``name`` is unique on the page."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    matplotlib.rcParams["svg.hashsalt"] = name
    buffer = io.StringIO()
    FigureCanvasSVG(drawn).print_svg(buffer, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    found = buffer.getvalue()
    found = found[found.index("<svg") :]
    found = re.sub(r"<metadata>.*?</metadata>\s*", "", found, flags=re.S)
    found = re.sub(r"#0102[0-9a-f]{2}\b", lambda match: f"var(--{NAMES[match[0]]})", found)
    found = re.sub(r" font-family: [^;\"]*;?", "", found)  # the page's
    # Groups are named alike in every figure; only what is referred to needs its name.
    used = set(re.findall(r"#([\w.-]+)", found))
    found = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", found)
    head, _, body = found.partition(">")
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head).groups()  # type: ignore[union-attr]
    opened = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'viewBox="0 0 {width} {height}" width="{float(width):g}" height="{float(height):g}" '
        f'aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    return opened + body.rstrip()


def whole_numbers(axis: Axis) -> None:
    """Ticks at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def short(name: object, longest: int = LONGEST_NAME) -> str:
    """A name that fits an axis: one line, cut with an ellipsis."""
    line = " ".join(printable(str(name)).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def apart(heights: list[float], least: float) -> list[float]:
    """Heights of labels moved as little as is needed to stand at least ``least`` from one another."""
    order = sorted(range(len(heights)), key=lambda at: heights[at])
    placed: list[float] = []
    for at in order:
        placed.append(max(heights[at], placed[-1] + least) if placed else heights[at])
    if placed:
        middle = (sum(heights) - sum(placed)) / len(placed)
        placed = [height + middle for height in placed]
    return [placed[order.index(at)] for at in range(len(heights))]
