"""A square table in tints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ensemble.reports.drawing import INK, MAIN, MUTED, OTHER, Picture, figure, picture, short

CELL = 26
NUMBERS_TO = 12
NAMES_TO = 40
"""A heat map has numbers up to so many rows, and names up to so many."""


def heat_map(
    name: str,
    table: list[list[Any]],
    *,
    names: list[str],
    shades: list[list[float]],
    text: Callable[[Any], str],
    axes: tuple[str, str],
    title: str,
    sentence: str,
    errors: bool = False,
) -> Picture:
    """A square table in tints: cells with numbers while they can be read, an image beyond.

    Args:
        name, title, sentence: Of the picture.
        table: What the cells say, through ``text``.
        names: Of rows and columns alike.
        shades: 0 to 1: how strong each cell's tint is.
        text: Value → what stands in a cell; an empty string leaves it free.
        axes: What rows and columns are.
        errors: Cells off the diagonal are errors, and tinted as such.
    """
    from matplotlib.patches import Rectangle

    size = len(table)
    cell = CELL if size > 6 else 36
    side = min(420, cell * size)
    longest = max(len(short(each)) for each in names) if size <= NAMES_TO else 3
    margin = 30 + 6.4 * longest
    with figure(width=int(side + margin + 12), height=int(side + min(margin, 130))) as (drawn, (ax,)):
        if size <= NAMES_TO:
            for i, row in enumerate(table):
                for j, value in enumerate(row):
                    colour = OTHER if errors and i != j else MAIN
                    alpha = round(0.75 * shades[i][j], 3)
                    place = (j - 0.5, i - 0.5)
                    ax.add_patch(Rectangle(place, 1, 1, facecolor=colour, alpha=alpha, linewidth=0))
                    if size <= NUMBERS_TO and (written := text(value)):
                        faint = errors and i != j and shades[i][j] < 0.02
                        ax.text(
                            j,
                            i,
                            written,
                            ha="center",
                            va="center",
                            fontsize=8.5,
                            color=MUTED if faint else INK,
                        )
        else:
            ax.imshow(_tinted(shades), interpolation="nearest", aspect="auto")
        ax.set_xlim(-0.5, size - 0.5)
        ax.set_ylim(size - 0.5, -0.5)
        ax.set_aspect("equal")
        if size <= NAMES_TO:
            labels = [short(each) for each in names]
            upright = max(map(len, labels)) > 2
            ax.set_xticks(range(size), labels, rotation=90 if upright else 0)
            ax.set_yticks(range(size), labels)
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.set_ylabel(axes[0])
        ax.set_xlabel(axes[1])
        return picture(drawn, name, title=title, sentence=sentence, wide=size > 15)


def _tinted(shades: list[list[float]]) -> Any:
    """RGBA of one colour that reads on white and on black; the shade is how opaque it is."""
    import numpy as np

    image = np.zeros((len(shades), len(shades[0]), 4))
    image[..., :3] = (0.16, 0.48, 0.76)
    image[..., 3] = shades
    return image
