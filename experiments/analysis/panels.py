"""Two panels of stacked horizontal bars: ours on the left, the paper's on the right.

Both share the order of the approaches, the colours and the hatches, which differ in lightness too,
so that a print without colour can be read. Under each bar stand its values, in the legend's order;
inside, the shares that there is room for; at its end, the sum.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from experiments.analysis import page
from experiments.analysis.output import RC

_UNITS = ("B", "kB", "MB", "GB", "TB")
NOTE_MARK = "†"
IMPUTED_MARK = "*"

COMPONENT_TITLES: Mapping[str, str] = {
    "train_valid": "train + valid",
    "data_transmission": "data transmission",
    "model_transmission": "model transmission",
    "approach_specific": "approach-specific",
}

Styles: TypeAlias = Mapping[str, Mapping[str, str]]
"""By component: ``facecolor``, ``hatch``, and ``ink`` for words on it."""

STYLES: Styles = {
    "train_valid": {"facecolor": "#1b4f72", "hatch": "", "ink": "white"},
    "data_transmission": {"facecolor": "#e08e2b", "hatch": "///", "ink": "black"},
    "model_transmission": {"facecolor": "#c3e3d2", "hatch": "xxx", "ink": "black"},
    "approach_specific": {"facecolor": "#ecebe4", "hatch": "..", "ink": "black"},
}
"""How each component of an epoch is drawn."""

_HALF = 0.23
ROW = 0.66
"""Inches of a bar and of what stands under it."""

HEAD = 1.45
"""Inches of title, line under it, legend and the panels' titles."""

AXIS = 0.55
"""Inches under a panel."""

_LEFT, _RIGHT, _GAP = 1.75, 0.25, 0.35
_NARROWEST_LABELLED = 0.075


@dataclass(frozen=True)
class Heading:
    """Everything in words around the two panels.

    Attributes
    ----------
    noted : rows of the paper that one of the notes is about; their bars carry a mark.
    notes : lines under the panels.
    """

    title: str
    subtitle: str
    ours: str
    ours_axis: str
    paper: str
    paper_axis: str
    noted: frozenset[str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Bar:
    """One bar: its values in the order of the styles, and the interval of their total.

    ``under`` is what stands below it.
    """

    values: tuple[float, ...]
    under: str
    low: float
    high: float

    @property
    def total(self) -> float:
        return sum(self.values)


def draw(breakdown: pd.DataFrame, heading: Heading) -> Figure:
    """The figure of a table made by :func:`experiments.analysis.breakdown.table`."""
    parts = [part for _, part in breakdown.groupby("title", sort=False)]
    notes = page.wrap(heading.notes)
    foot = AXIS + page.NOTE * (len(notes) + 1)
    height = HEAD + ROW * len(parts) + foot
    with mpl.rc_context(RC):
        figure = Figure(figsize=(page.WIDTH, height))
        left, right = sides(figure, foot, len(parts))
        marked = [part["paper_row"].iloc[0] in heading.noted for part in parts]
        ours, theirs = [_ours(part) for part in parts], [_paper(part) for part in parts]
        panel(left, ours, STYLES, heading.ours, heading.ours_axis, "not run")
        absent = "not in the paper's figure"
        panel(right, theirs, STYLES, heading.paper, heading.paper_axis, absent)
        name_rows(
            left,
            right,
            [
                str(part["title"].iloc[0]) + (f" {NOTE_MARK}" if mark else "")
                for part, mark in zip(parts, marked, strict=True)
            ],
        )
        page.write(figure, heading.title, heading.subtitle, notes)
        legend(figure, STYLES, COMPONENT_TITLES)
    return figure


def sides(figure: Figure, bottom: float, rows: int) -> tuple[Axes, Axes]:
    """Two panels side by side, for so many bars each; ``bottom`` is in inches."""
    wide = (page.WIDTH - _LEFT - _RIGHT - _GAP) / 2
    left = page.axes(figure, _LEFT, bottom, wide, ROW * rows)
    return left, page.axes(figure, _LEFT + wide + _GAP, bottom, wide, ROW * rows)


def name_rows(left: Axes, right: Axes, names: Sequence[str]) -> None:
    """The names of the bars of both panels, beside the left one."""
    left.set_yticks(range(len(names)), [textwrap.fill(name, 20) for name in names])
    right.set_yticks(range(len(names)), [])


def legend(figure: Figure, styles: Styles, titles: Mapping[str, str]) -> None:
    """What each colour stands for, in a line at the head of the page."""
    handles = [
        Patch(
            facecolor=style["facecolor"],
            hatch=style["hatch"],
            edgecolor="black",
            linewidth=0.6,
            label=titles[component],
        )
        for component, style in styles.items()
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.008, 1 - 0.66 / figure.get_figheight()),
        ncols=len(handles),
        frameon=False,
        fontsize=10,
        handlelength=2.2,
        handleheight=1.1,
        columnspacing=1.6,
    )


def panel(
    axes: Axes, bars: Sequence[Bar | None], styles: Styles, title: str, axis: str, absent: str
) -> None:
    """Bars from top to bottom; ``absent`` stands where there is none."""
    longest = max((max(bar.total, bar.high) for bar in bars if bar), default=0.0)
    span = longest * 1.14 or 1.0
    axes.set_xlim(0, span)
    axes.set_ylim(len(bars) - 0.42, -0.5)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", pad=6)
    axes.set_xlabel(axis)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for row, bar in enumerate(bars):
        if bar is None:
            axes.text(span * 0.01, row, absent, va="center", color=page.GREY, style="italic")
        else:
            _bar(axes, row, bar, styles, span)


def _bar(axes: Axes, row: int, bar: Bar, styles: Styles, span: float) -> None:
    start = 0.0
    for value, style in zip(bar.values, styles.values(), strict=True):
        axes.barh(
            row,
            value,
            2 * _HALF,
            left=start,
            facecolor=style["facecolor"],
            hatch=style["hatch"],
            edgecolor="black",
            linewidth=0.6,
        )
        if value >= _NARROWEST_LABELLED * span:
            axes.text(
                start + value / 2,
                row,
                f"{100 * value / bar.total:.0f} %",
                ha="center",
                va="center",
                fontsize=8.5,
                color=style["ink"],
                bbox=_plate(style),
            )
        start += value
    if bar.high > bar.low:
        axes.errorbar(
            bar.total,
            row - _HALF - 0.07,
            xerr=[[max(bar.total - bar.low, 0.0)], [max(bar.high - bar.total, 0.0)]],
            color="black",
            capsize=2.5,
            linewidth=1,
        )
    axes.text(
        start + 0.012 * span,
        row,
        number(bar.total),
        va="center",
        fontweight="bold",
    )
    axes.text(0.006 * span, row + _HALF + 0.06, bar.under, va="top", fontsize=8, color="#333333")


def _plate(style: Mapping[str, str]) -> dict[str, Any]:
    return {"facecolor": style["facecolor"], "edgecolor": "none", "pad": 1.2}


def number(value: float) -> str:
    """Three significant digits without an exponent; ``<0.0001`` for what is smaller than that."""
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return "<0.0001"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 4)}f}"


def size(value: float) -> str:
    """Bytes with three digits."""
    power = min(len(_UNITS) - 1, int(math.log10(value) // 3)) if value >= 1 else 0
    return f"{number(value / 1000**power)} {_UNITS[power]}"


def _ours(part: pd.DataFrame) -> Bar | None:
    return _side(part, "ours_s", imputed=False)


def _paper(part: pd.DataFrame) -> Bar | None:
    return _side(part, "paper_h", imputed=True)


def _side(part: pd.DataFrame, column: str, *, imputed: bool) -> Bar | None:
    by_component = part.set_index("component")
    values = by_component.loc[list(COMPONENT_TITLES), column]
    if values.isna().all():
        return None
    marks = by_component.loc[list(COMPONENT_TITLES), "paper_imputed"]
    total = by_component.loc["total"]
    low, high = ("paper_h", "paper_h") if imputed else ("ours_low", "ours_high")
    known = [float(value) for value in values.fillna(0.0)]
    words = (
        number(value) + (IMPUTED_MARK if mark and imputed else "")
        for value, mark in zip(known, marks, strict=True)
    )
    return Bar(
        values=tuple(known),
        under=" · ".join(words),
        low=float(total[low]),
        high=float(total[high]),
    )
