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
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from experiments.analysis import page
from experiments.analysis.output import RC

NOTE_MARK = "†"
IMPUTED_MARK = "*"

COMPONENT_TITLES: Mapping[str, str] = {
    "train_valid": "train + valid",
    "data_transmission": "data transmission",
    "model_transmission": "model transmission",
    "approach_specific": "approach-specific",
}

STYLES: Mapping[str, Mapping[str, str]] = {
    "train_valid": {"facecolor": "#1b4f72", "hatch": "", "ink": "white"},
    "data_transmission": {"facecolor": "#e08e2b", "hatch": "///", "ink": "black"},
    "model_transmission": {"facecolor": "#c3e3d2", "hatch": "xxx", "ink": "black"},
    "approach_specific": {"facecolor": "#ecebe4", "hatch": "..", "ink": "black"},
}
"""How each component is drawn; ``ink`` is for words on it."""

_HALF = 0.23
_ROW = 0.66
_HEAD = 1.45
_AXIS = 0.55
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
class _Bar:
    """One bar: its values in the order of the components, and the interval of their total."""

    values: tuple[float, ...]
    marked: tuple[bool, ...]
    low: float
    high: float

    @property
    def total(self) -> float:
        return sum(self.values)


def draw(breakdown: pd.DataFrame, heading: Heading) -> Figure:
    """The figure of a table made by :func:`experiments.analysis.breakdown.table`."""
    parts = [part for _, part in breakdown.groupby("title", sort=False)]
    notes = page.wrap(heading.notes)
    foot = _AXIS + page.NOTE * (len(notes) + 1)
    height = _HEAD + _ROW * len(parts) + foot
    with mpl.rc_context(RC):
        figure = Figure(figsize=(page.WIDTH, height))
        panel = (page.WIDTH - _LEFT - _RIGHT - _GAP) / 2
        tall = _ROW * len(parts)
        left = page.axes(figure, _LEFT, foot, panel, tall)
        right = page.axes(figure, _LEFT + panel + _GAP, foot, panel, tall)
        marked = [part["paper_row"].iloc[0] in heading.noted for part in parts]
        ours, theirs = [_ours(part) for part in parts], [_paper(part) for part in parts]
        _panel(left, ours, heading.ours, heading.ours_axis, "not run")
        _panel(right, theirs, heading.paper, heading.paper_axis, "not in the paper's figure")
        left.set_yticks(
            range(len(parts)),
            [
                textwrap.fill(str(part["title"].iloc[0]), 20) + (f" {NOTE_MARK}" if mark else "")
                for part, mark in zip(parts, marked, strict=True)
            ],
        )
        right.set_yticks(range(len(parts)), [])
        page.write(figure, heading.title, heading.subtitle, notes)
        _legend(figure)
    return figure


def _legend(figure: Figure) -> None:
    handles = [
        Patch(
            facecolor=style["facecolor"],
            hatch=style["hatch"],
            edgecolor="black",
            linewidth=0.6,
            label=COMPONENT_TITLES[component],
        )
        for component, style in STYLES.items()
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


def _panel(axes: Axes, bars: Sequence[_Bar | None], title: str, axis: str, absent: str) -> None:
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
            _bar(axes, row, bar, span)


def _bar(axes: Axes, row: int, bar: _Bar, span: float) -> None:
    start = 0.0
    for value, style in zip(bar.values, STYLES.values(), strict=True):
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
    axes.text(0.006 * span, row + _HALF + 0.06, _values(bar), va="top", fontsize=8, color="#333333")


def _plate(style: Mapping[str, str]) -> dict[str, Any]:
    return {"facecolor": style["facecolor"], "edgecolor": "none", "pad": 1.2}


def _values(bar: _Bar) -> str:
    return " · ".join(
        number(value) + (IMPUTED_MARK if mark else "")
        for value, mark in zip(bar.values, bar.marked, strict=True)
    )


def number(value: float) -> str:
    """Three significant digits without an exponent; ``<0.0001`` for what is smaller than that."""
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return "<0.0001"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 4)}f}"


def _ours(part: pd.DataFrame) -> _Bar | None:
    return _side(part, "ours_s", imputed=False)


def _paper(part: pd.DataFrame) -> _Bar | None:
    return _side(part, "paper_h", imputed=True)


def _side(part: pd.DataFrame, column: str, *, imputed: bool) -> _Bar | None:
    by_component = part.set_index("component")
    values = by_component.loc[list(COMPONENT_TITLES), column]
    if values.isna().all():
        return None
    marks = by_component.loc[list(COMPONENT_TITLES), "paper_imputed"]
    total = by_component.loc["total"]
    low, high = ("paper_h", "paper_h") if imputed else ("ours_low", "ours_high")
    return _Bar(
        values=tuple(float(value) for value in values.fillna(0.0)),
        marked=tuple(bool(mark) and imputed for mark in marks),
        low=float(total[low]),
        high=float(total[high]),
    )
