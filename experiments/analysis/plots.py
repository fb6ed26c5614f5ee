"""Panels of lines and points over a number, several in a row, with one legend for all.

What is known in different ways is told apart in every panel: lines of runs here have markers,
simulated ones are dashed and have none, and the paper's are grey where they share a panel.
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
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter

from experiments.analysis import page
from experiments.analysis.output import RC

_HEAD = 0.78
_LEGEND_ROW = 0.24
_PANEL_HEAD, _PANEL, _PANEL_FOOT = 0.42, 2.0, 0.62
_LEFT, _RIGHT, _GAP = 0.7, 0.2, 0.62


@dataclass(frozen=True)
class Look:
    """How a line looks and what the legend calls it."""

    label: str
    colour: str
    marker: str = "o"
    dash: str = "-"


@dataclass(frozen=True)
class Line:
    """Values over a number; ``low`` and ``high``, where given, are the seeds' extremes."""

    look: str
    places: Sequence[float]
    values: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Plot:
    """One panel.

    Attributes
    ----------
    ticks : of the x axis; every place where none are given.
    level : a horizontal line and what it is, or nothing.
    from_zero : whether a linear upward axis begins there.
    """

    title: str
    across: str
    up: str
    lines: Sequence[Line]
    ticks: Sequence[float] = ()
    log_across: bool = False
    log_up: bool = False
    level: tuple[float, str] | None = None
    from_zero: bool = True


def draw(
    title: str,
    subtitle: str,
    rows: Sequence[Sequence[Plot]],
    looks: Mapping[str, Look],
    notes: Sequence[str],
) -> Figure:
    """The figure: rows of panels, as many in each as it has, all rows equally wide."""
    lines = page.wrap(notes)
    columns = _columns(looks)
    head = _HEAD + _LEGEND_ROW * math.ceil(len(looks) / columns)
    tall = _PANEL_HEAD + _PANEL + _PANEL_FOOT
    height = head + tall * len(rows) + page.NOTE * (len(lines) + 1)
    with mpl.rc_context(RC):
        figure = Figure(figsize=(page.WIDTH, height))
        page.write(figure, title, subtitle, lines)
        _legend(figure, looks, columns)
        for number, row in enumerate(rows):
            width = (page.WIDTH - _LEFT - _RIGHT - _GAP * (len(row) - 1)) / len(row)
            bottom = height - head - tall * number - _PANEL_HEAD - _PANEL
            for side, plot in enumerate(row):
                left = _LEFT + side * (width + _GAP)
                _panel(page.axes(figure, left, bottom, width, _PANEL), plot, looks)
    return figure


def _columns(looks: Mapping[str, Look]) -> int:
    longest = max((len(look.label) for look in looks.values()), default=1)
    return max(1, min(len(looks), int((page.WIDTH - 0.3) / (0.07 * longest + 0.7))))


def _legend(figure: Figure, looks: Mapping[str, Look], columns: int) -> None:
    figure.legend(
        handles=[Line2D([], [], label=look.label, **_style(look)) for look in looks.values()],
        loc="upper left",
        bbox_to_anchor=(0.008, 1 - 0.66 / figure.get_figheight()),
        ncols=columns,
        frameon=False,
        fontsize=9,
        handlelength=3.0,
        columnspacing=1.4,
    )


def _style(look: Look) -> dict[str, Any]:
    return {
        "color": look.colour,
        "linestyle": look.dash,
        "marker": look.marker,
        "markersize": 5.5,
        "markerfacecolor": "none",
        "markeredgewidth": 1.3,
        "linewidth": 1.4,
    }


def _panel(axes: Axes, plot: Plot, looks: Mapping[str, Look]) -> None:
    axes.set_title(plot.title, loc="left", fontsize=10, pad=6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel(plot.across, fontsize=9)
    axes.set_ylabel(plot.up, fontsize=9)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    if plot.log_across:
        axes.set_xscale("log", base=2)
    if plot.log_up:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
    for line in plot.lines:
        look = looks[line.look]
        if len(line.low):
            axes.fill_between(
                line.places, line.low, line.high, color=look.colour, alpha=0.18, linewidth=0
            )
        axes.plot(line.places, line.values, **_style(look))
    if plot.level is not None:
        value, text = plot.level
        axes.axhline(value, color="black", linestyle=":", linewidth=1.1)
        axes.annotate(
            text,
            (0, value),
            xycoords=("axes fraction", "data"),
            xytext=(4, 3),
            textcoords="offset points",
            ha="left",
            fontsize=8,
        )
    if plot.ticks:
        axes.xaxis.set_major_locator(FixedLocator(list(plot.ticks)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(ScalarFormatter())
    low, high = axes.get_ylim()
    if plot.from_zero and not plot.log_up:
        axes.set_ylim(min(0.0, low), high * 1.06)
