"""Where the paper's comparisons hold: a panel for each axis, a bar where a claim holds."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.analysis import page
from experiments.analysis.output import RC
from experiments.analysis.sensitivity import AXES, LEAST, MOST, factor_words
from experiments.specs.prediction import Assumptions

_LEFT, _RIGHT, _GAP = 3.75, 0.25, 0.4
_ROW, _HEAD, _AXIS, _GROUP = 0.33, 0.75, 0.55, 0.42
_WIDEST = 10.0
"""A number takes a decade of an axis."""

_HOLDS, _NOT = "#2b7a78", "#ecebe4"


def figure(table: pd.DataFrame, assumed: Assumptions) -> Figure:
    """Drawn from :func:`.sensitivity.table`: a panel for each axis, a bar where a claim holds."""
    notes = page.wrap(_notes(table))
    claims = [
        (str(data), list(part["claim"].unique()))
        for data, part in table.groupby("data", sort=False)
    ]
    foot = page.NOTE * (len(notes) + 1)
    height = _HEAD + sum(_GROUP + _ROW * len(names) for _, names in claims) + _AXIS + foot
    width = (page.WIDTH - _LEFT - _RIGHT - _GAP * (len(AXES) - 1)) / len(AXES)
    with mpl.rc_context(RC):
        figure = Figure(figsize=(page.WIDTH, height))
        page.write(
            figure,
            "Where the paper's comparisons hold · simulated, 8 workers",
            "one speed of the cluster at a time, from a hundredth to a hundred times the paper's · "
            "not in the paper",
            notes,
        )
        top = height - _HEAD
        for data, names in claims:
            tall = _ROW * len(names)
            bottom = top - _GROUP - tall
            figure.text(
                page.MARGIN,
                (top - 0.27) / height,
                assumed.datasets[data].title,
                fontsize=11,
                fontweight="bold",
                va="center",
            )
            last = data == claims[-1][0]
            for number, (axis, title) in enumerate(AXES.items()):
                left = _LEFT + number * (width + _GAP)
                axes = page.axes(figure, left, bottom, width, tall)
                part = table[(table["data"] == data) & (table["axis"] == axis)]
                _panel(axes, part, names, first=number == 0, last=last)
                if data == claims[0][0]:
                    axes.set_title(title, fontsize=10, fontweight="bold", pad=8)
            top = bottom
    return figure


def _panel(
    axes: Axes, table: pd.DataFrame, names: Sequence[str], *, first: bool, last: bool
) -> None:
    axes.set_xscale("log")
    axes.set_xlim(LEAST, MOST)
    axes.set_ylim(len(names) - 0.5, -0.5)
    titles = [f"{name}  ({table[table['claim'] == name]['ratio'].iloc[0]:.2f})" for name in names]
    axes.set_yticks(range(len(names)), titles if first else [])
    axes.tick_params(axis="y", length=0)
    axes.minorticks_off()
    axes.set_xticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"] if last else [])
    if last:
        axes.set_xlabel("times the paper's speed", fontsize=9)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for place, name in enumerate(names):
        axes.barh(place, MOST - LEAST, 0.62, left=LEAST, facecolor=_NOT)
        for each in table[table["claim"] == name].itertuples(index=False):
            if not pd.isna(each.low):
                axes.barh(place, each.high - each.low, 0.62, left=each.low, facecolor=_HOLDS)
            for flip in (each.low, each.high):
                if not pd.isna(flip) and flip not in {LEAST, MOST}:
                    _mark(axes, place, flip, holds_above=flip == each.low)
        holds = bool(table[table["claim"] == name]["at_paper"].iloc[0])
        axes.plot(
            1.0,
            place,
            marker="o" if holds else "X",
            markersize=5 if holds else 8,
            markerfacecolor="white" if holds else "#d55e00",
            markeredgecolor="black",
            linestyle="none",
        )


def _mark(axes: Axes, place: int, flip: float, *, holds_above: bool) -> None:
    """The number at a flip: beside the bar, or in it where there is no room beside."""
    room = flip / LEAST if holds_above else MOST / flip
    to_left = holds_above == (room > _WIDEST)
    axes.text(
        flip * (0.87 if to_left else 1.15),
        place,
        factor_words(flip),
        ha="right" if to_left else "left",
        va="center",
        fontsize=8.5,
        color="black" if room > _WIDEST else "white",
    )


def _notes(table: pd.DataFrame) -> list[str]:
    claims = table.drop_duplicates(["data", "claim"])
    everywhere = table[(table["low"] == LEAST) & (table["high"] == MOST)]
    return [
        "Green: the claim holds. Circle: the paper's cluster, a cross where simulation says "
        "otherwise there. Numbers: where it turns over. In brackets: how many times longer the "
        "slower one takes on the paper's cluster. 'Like': within 10 %. "
        f"{len(everywhere)} of {len(claims) * len(AXES)} ranges have no end between a hundredth "
        "and a hundred times. Where the two take almost the same, an end is uncertain: by a factor "
        "of two or three for CTQ and UDAF on ImageNet, with the orders that are simulated.",
        "Network: between any two nodes. Disk: of every node, for page files, exported files, "
        "tables and the model store. All states of CTQ, DA-Cerebro and Cerebro-Spark go through "
        "one server's network and disk, those of UDAF from node to node. Scans: giving rows to a "
        "model inside the database, which is mostly decompression. Accelerator: all computing of "
        "models (on Criteo the nodes' CPUs).",
        "Execution without ETL, by the model of the figure table6-predicted and with its inputs; "
        "MA, UDAF and CTQ also evaluate the training set, as in the paper.",
    ]
