"""The page around a figure: its title, the line under it, and the footnotes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 12.0
"""Inches; every figure is this wide."""

GREY = "#666666"
NOTE = 0.17
"""Inches a line of a footnote takes."""

MARGIN = 0.015
_LETTERS = 165


def wrap(notes: Iterable[str]) -> list[str]:
    """Footnotes as lines that fit the page."""
    return [line for note in notes for line in textwrap.wrap(note, _LETTERS)]


def write(figure: Figure, title: str, subtitle: str, lines: Sequence[str]) -> None:
    """Title and subtitle at the top of the page, the lines of :func:`wrap` at its foot."""
    height = figure.get_figheight()
    figure.text(MARGIN, 1 - 0.12 / height, title, va="top", fontsize=14, fontweight="bold")
    figure.text(MARGIN, 1 - 0.44 / height, subtitle, va="top", fontsize=10, color=GREY)
    for number, line in enumerate(lines):
        bottom = NOTE * (len(lines) - number - 0.5) / height
        figure.text(MARGIN, bottom, line, va="bottom", fontsize=8.5, color=GREY)


def axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place of the page given in inches from its lower left corner."""
    wide, tall = figure.get_size_inches()
    return figure.add_axes((left / wide, bottom / tall, width / wide, height / tall))
