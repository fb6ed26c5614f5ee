"""Where the paper's comparisons hold: over which range of the cluster's speeds, one at a time."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.analysis import page
from experiments.analysis.output import RC
from experiments.analysis.prediction import epoch
from experiments.analysis.pricing import PAPER, Job, Prices
from experiments.analysis.rates import Rates
from experiments.specs.prediction import Assumptions, Claim

AXES: Mapping[str, str] = {
    "network": "network",
    "disk": "disk",
    "scan": "scans in the database",
    "accelerator": "accelerator",
}
"""What is made slower or faster, by its name in :class:`~.pricing.Speeds`."""

LEAST, MOST = 0.01, 100.0

_STEPS = 13
_HALVINGS = 8
_ORDERS = 8
_LEFT, _RIGHT, _GAP = 3.75, 0.25, 0.4
_ROW, _HEAD, _AXIS, _GROUP = 0.33, 0.75, 0.55, 0.42
_WIDEST = 10.0
"""A number takes a decade of an axis."""

_HOLDS, _NOT = "#2b7a78", "#ecebe4"


@dataclass(frozen=True)
class Stretch:
    """A range of factors in which a claim holds; an end inside the axis is a flip."""

    low: float
    high: float


def stretches(holds: Callable[[float], bool]) -> list[Stretch]:
    """Where a claim holds between :data:`LEAST` and :data:`MOST`, flips found by halving.

    Parameters
    ----------
    holds : whether it does at a factor. Ranges narrower than a step of the search may be missed.
    """
    exponents = [
        math.log10(LEAST) + step * math.log10(MOST / LEAST) / (_STEPS - 1) for step in range(_STEPS)
    ]
    told = [holds(10**exponent) for exponent in exponents]
    found: list[Stretch] = []
    start = LEAST if told[0] else None
    for at in range(1, _STEPS):
        if told[at] == told[at - 1]:
            continue
        flip = _flip(holds, exponents[at - 1], exponents[at])
        if start is None:
            start = flip
        else:
            found.append(Stretch(start, flip))
            start = None
    if start is not None:
        found.append(Stretch(start, MOST))
    return found


def _flip(holds: Callable[[float], bool], low: float, high: float) -> float:
    before = holds(10**low)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if holds(10**middle) == before:
            low = middle
        else:
            high = middle
    return float(10 ** ((low + high) / 2))


def table(rates: Rates, assumed: Assumptions) -> pd.DataFrame:
    """Every claim on every axis.

    Returns
    -------
    DataFrame
        A row for each stretch in which a claim holds, and one without ``low`` and ``high`` where it
        holds nowhere: ``data, claim, place, axis``; ``low, high`` factors on the paper's speed;
        ``at_paper`` whether it holds there; ``ratio`` of the slower one's time to the faster one's
        there; ``evidence`` ``simulated``.
    """
    rows: list[dict[str, Any]] = []
    seconds = _Seconds(rates, assumed)
    for data in assumed.datasets:
        for claim in assumed.claims:
            if data not in claim.data:
                continue
            faster, slower = seconds.both(claim, data, "network", 1.0)
            for axis in AXES:
                about = {
                    "data": data,
                    "claim": claim.words,
                    "place": claim.place,
                    "axis": axis,
                    "at_paper": claim.holds(faster, slower),
                    "ratio": slower / faster,
                    "evidence": "simulated",
                }

                def holds(factor: float, axis: str = axis, claim: Claim = claim) -> bool:
                    return claim.holds(*seconds.both(claim, data, axis, factor))  # noqa: B023

                found = stretches(holds)
                rows += [{**about, "low": each.low, "high": each.high} for each in found]
                rows += [] if found else [{**about, "low": None, "high": None}]
    return pd.DataFrame(rows)


class _Seconds:
    """Predicted seconds of an epoch, each worked out once."""

    def __init__(self, rates: Rates, assumed: Assumptions) -> None:
        self._rates, self._assumed = rates, assumed
        self._job = functools.cache(self._make_job)
        self._epoch = functools.cache(self._predict)

    def both(self, claim: Claim, data: str, axis: str, factor: float) -> tuple[float, float]:
        """Of the two rows of a claim."""
        faster, slower = (
            self._epoch(row, data, claim.experiment, axis, factor)
            for row in (claim.faster, claim.slower)
        )
        return faster, slower

    def _make_job(self, data: str, experiment: str | None) -> Job:
        return Job.of_paper(self._assumed.datasets[data], experiment)

    def _predict(
        self, name: str, data: str, experiment: str | None, axis: str, factor: float
    ) -> float:
        row = self._assumed.rows[name]
        prices = Prices(
            self._job(data, experiment),
            row,
            row.approach(self._assumed.datasets[data].table),
            self._rates,
            self._assumed,
            replace(PAPER, **{axis: factor}),
        )
        return epoch(prices, _ORDERS).seconds


def summary(table: pd.DataFrame, assumed: Assumptions) -> pd.DataFrame:
    """In words: where each claim holds, one row per claim and one column per axis."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for (data, claim, axis), part in table.groupby(["data", "claim", "axis"], sort=False):
        words = ", ".join(
            _range(low, high) for low, high in zip(part["low"], part["high"], strict=True)
        )
        cells = rows.setdefault((assumed.datasets[data].title, claim), {})
        cells[AXES[axis]] = words
        cells["ratio"] = f"{part['ratio'].iloc[0]:.2f}"
    index = pd.MultiIndex.from_tuples(list(rows), names=["data set", "claim"])
    return pd.DataFrame(list(rows.values()), index=index)[["ratio", *AXES.values()]]


def _range(low: float, high: float) -> str:
    if pd.isna(low):
        return "nowhere"
    if low == LEAST and high == MOST:
        return "everywhere"
    if low == LEAST:
        return f"below {_factor(high)}×"
    return f"above {_factor(low)}×" if high == MOST else f"{_factor(low)} to {_factor(high)}×"


def _factor(value: float) -> str:
    """Two digits."""
    return f"{value:.2g}"


def figure(table: pd.DataFrame, assumed: Assumptions) -> Figure:
    """Drawn from :func:`table`: a panel for each axis, a bar where a claim holds."""
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
        _factor(flip),
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
        "and a hundred times.",
        "Network: between any two nodes. Disk: of every node, for page files, exported files, "
        "tables and the model store. All states of CTQ, DA-Cerebro and Cerebro-Spark go through "
        "one server's network and disk, those of UDAF from node to node. Scans: giving rows to a "
        "model inside the database, which is mostly decompression. Accelerator: all computing of "
        "models (on Criteo the nodes' CPUs).",
        "Execution without ETL, by the model of the figure table6-predicted and with its inputs; "
        "MA, UDAF and CTQ also evaluate the training set, as in the paper.",
    ]
