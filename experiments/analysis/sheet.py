"""A table as a picture: groups of rows under shared columns; the paper's values are grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.analysis import page
from experiments.analysis.output import RC

_TOP = 0.75
_BAND, _HEADING = 0.26, 0.4
_GROUP = 0.46
_LINE, _SECOND = 0.25, 0.14
_PAD = 0.08
_INK = "black"
_PAPER = "#808080"
_RULE = "#cccccc"


@dataclass(frozen=True)
class Column:
    """A column: the band it stands under, its heading (may have two lines), its width in inches."""

    band: str
    heading: str
    width: float
    paper: bool = False


@dataclass(frozen=True)
class Cell:
    """A value in words; ``under`` is a smaller second line, ``strong`` makes the first bold."""

    text: str
    under: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Group:
    """Rows under a heading of their own; a row has one cell per column."""

    heading: str
    rows: Sequence[Sequence[Cell]]


def draw(
    title: str,
    subtitle: str,
    columns: Sequence[Column],
    groups: Sequence[Group],
    notes: Sequence[str],
) -> Figure:
    """The picture. The first column is set to the left, all others to the right."""
    lines = page.wrap(notes)
    line = _LINE + (_SECOND if any(cell.under for g in groups for r in g.rows for cell in r) else 0)
    body = _BAND + _HEADING + sum(_GROUP + line * len(group.rows) for group in groups) + _PAD
    height = _TOP + body + page.NOTE * (len(lines) + 1)
    with mpl.rc_context(RC):
        figure = Figure(figsize=(page.WIDTH, height))
        page.write(figure, title, subtitle, lines)
        axes = page.axes(figure, 0, height - _TOP - body, page.WIDTH, body)
        axes.set_xlim(0, page.WIDTH)
        axes.set_ylim(body, 0)
        axes.axis("off")
        rights = _rights(columns)
        _head(axes, columns, rights)
        down = _BAND + _HEADING
        for group in groups:
            axes.text(
                page.MARGIN * page.WIDTH,
                down + 0.29,
                group.heading,
                va="center",
                fontsize=10.5,
                fontweight="bold",
            )
            down += _GROUP
            for row in group.rows:
                _rule(axes, down, rights[-1], _RULE)
                _row(axes, row, columns, rights, down)
                down += line
        _rule(axes, down, rights[-1], _INK)
    return figure


def _rights(columns: Sequence[Column]) -> list[float]:
    """Right border of each column; all columns together are as wide as the page allows."""
    left = page.MARGIN * page.WIDTH
    spare = (page.WIDTH - 2 * left) / sum(column.width for column in columns)
    rights: list[float] = []
    for column in columns:
        left += column.width * spare
        rights.append(left)
    return rights


def _rule(axes: Axes, down: float, right: float, colour: str) -> None:
    axes.hlines(down, page.MARGIN * page.WIDTH, right, color=colour, linewidth=0.7)


def _head(axes: Axes, columns: Sequence[Column], rights: Sequence[float]) -> None:
    start = page.MARGIN * page.WIDTH
    for number, (column, right) in enumerate(zip(columns, rights, strict=True)):
        last = number + 1 == len(columns) or columns[number + 1].band != column.band
        if last and column.band:
            axes.text((start + right) / 2, 0.1, column.band, ha="center", va="center", fontsize=9.5)
            axes.hlines(0.22, start + _PAD, right, color=_INK, linewidth=0.7)
        if last:
            start = right
        for line, text in enumerate(column.heading.split("\n")):
            axes.text(
                right,
                _BAND + 0.15 + 0.15 * line,
                text,
                ha="right",
                va="baseline",
                fontsize=8.5,
                color=_PAPER if column.paper else _INK,
            )
    _rule(axes, _BAND + _HEADING, rights[-1], _INK)


def _row(
    axes: Axes,
    row: Sequence[Cell],
    columns: Sequence[Column],
    rights: Sequence[float],
    down: float,
) -> None:
    for number, (cell, column, right) in enumerate(zip(row, columns, rights, strict=True)):
        first = number == 0
        place = page.MARGIN * page.WIDTH if first else right
        side = "left" if first else "right"
        colour = _PAPER if column.paper else _INK
        axes.text(
            place,
            down + _LINE / 2,
            cell.text,
            ha=side,
            va="center",
            fontsize=9.5,
            fontweight="bold" if cell.strong else "normal",
            color=colour,
        )
        axes.text(
            place,
            down + _LINE + _SECOND / 2 - 0.05,
            cell.under,
            ha=side,
            va="center",
            fontsize=7.5,
            color=colour,
        )
