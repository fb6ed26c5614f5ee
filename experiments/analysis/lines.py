"""Rows of two panels with lines over epochs, and one legend for all.

Every line has a colour, a marker and a dash of its own, so that a print without colour can be read.
Lines of one panel are moved sideways a little, so that equal ones can be told apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from experiments.analysis import page
from experiments.analysis.output import RC

_MARKERS = "os^DvPX*p<>h"
_DASHES = ("-", "--", "-.", ":")
_HEAD = 0.72
_LEGEND_ROW = 0.23
_PANEL = 2.35
_ROW_HEAD, _ROW_FOOT = 0.72, 0.62
_LEFT, _RIGHT, _GAP = 0.75, 0.25, 0.8
_TICKS = 12
_NARROWEST = 0.05


@dataclass(frozen=True)
class Style:
    """How a line looks and what the legend calls it; ``place`` chooses marker and dash."""

    label: str
    colour: str
    place: int

    @property
    def marker(self) -> str:
        return _MARKERS[self.place % len(_MARKERS)]

    @property
    def dash(self) -> str:
        return _DASHES[self.place % len(_DASHES)]


@dataclass(frozen=True)
class Curve:
    """Values by epoch with the smallest and largest over the seeds; NaN leaves a gap."""

    style: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Panel:
    """One panel; ``absent`` is what it says where it has no curve."""

    title: str
    axis: str
    curves: tuple[Curve, ...]
    absent: str = ""
    spread: bool = True


@dataclass(frozen=True)
class Row:
    """A heading over two panels."""

    heading: str
    left: Panel
    right: Panel


def draw(
    title: str,
    subtitle: str,
    rows: Sequence[Row],
    styles: Mapping[str, Style],
    notes: Sequence[str],
) -> Figure:
    """The figure. ``styles`` has one entry per line of the legend, in its order."""
    lines = page.wrap(notes)
    columns = _columns(styles)
    head = _HEAD + _LEGEND_ROW * math.ceil(len(styles) / columns)
    row = _ROW_HEAD + _PANEL + _ROW_FOOT
    height = head + row * len(rows) + page.NOTE * (len(lines) + 1)
    width = (page.WIDTH - _LEFT - _RIGHT - _GAP) / 2
    with mpl.rc_context(RC):
        figure = Figure(figsize=(page.WIDTH, height))
        page.write(figure, title, subtitle, lines)
        _legend(figure, styles, columns)
        for number, drawn in enumerate(rows):
            top = height - head - row * number
            figure.text(
                page.MARGIN,
                (top - 0.3) / height,
                drawn.heading,
                fontsize=11,
                fontweight="bold",
            )
            bottom = top - _ROW_HEAD - _PANEL
            for side, panel in enumerate((drawn.left, drawn.right)):
                left = _LEFT + side * (width + _GAP)
                _panel(page.axes(figure, left, bottom, width, _PANEL), panel, styles)
    return figure


def _columns(styles: Mapping[str, Style]) -> int:
    longest = max((len(style.label) for style in styles.values()), default=1)
    return max(1, min(len(styles), int((page.WIDTH - 0.3) / (0.072 * longest + 0.7))))


def _legend(figure: Figure, styles: Mapping[str, Style], columns: int) -> None:
    handles = [
        Line2D([], [], label=style.label, markersize=6.5, **_look(style))
        for style in styles.values()
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.008, 1 - 0.66 / figure.get_figheight()),
        ncols=columns,
        frameon=False,
        fontsize=9.5,
        handlelength=3.2,
        columnspacing=1.4,
    )


def _look(style: Style) -> dict[str, Any]:
    return {
        "color": style.colour,
        "linestyle": style.dash,
        "marker": style.marker,
        "markerfacecolor": "none",
        "markeredgewidth": 1.3,
        "linewidth": 1.4,
    }


def _panel(axes: Axes, panel: Panel, styles: Mapping[str, Style]) -> None:
    axes.set_title(panel.title, loc="left", fontsize=10, pad=6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if not panel.curves:
        axes.set_xticks([])
        axes.set_yticks([])
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.text(0.0, 0.9, panel.absent, va="top", color=page.GREY, style="italic")
        return
    last = max(max(curve.epochs) for curve in panel.curves)
    axes.set_xlim(0.5, last + 0.5)
    if last <= _TICKS:
        axes.set_xticks(range(1, last + 1))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(_TICKS, integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(panel.axis)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(y=0.12)
    step = min(0.5 / len(panel.curves), 0.025 * last) if panel.spread else 0.0
    for number, curve in enumerate(panel.curves):
        aside = (number - (len(panel.curves) - 1) / 2) * step
        _curve(axes, curve, styles[curve.style], aside)
    low, high = axes.get_ylim()
    short = max(0.0, _NARROWEST - (high - low)) / 2
    axes.set_ylim(low - short, high + short)


def _curve(axes: Axes, curve: Curve, style: Style, aside: float) -> None:
    places = [epoch + aside for epoch in curve.epochs]
    axes.plot(places, curve.values, markersize=5.5, **_look(style))
    for place, low, high in zip(places, curve.low, curve.high, strict=True):
        if high > low:
            axes.vlines(place, low, high, color=style.colour, linewidth=1.1)
            axes.plot([place, place], [low, high], "_", color=style.colour, markersize=5)
