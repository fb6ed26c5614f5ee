"""Table 6 and Figs 9B and 9C, predicted: bars of an epoch's components, and Table 6 beside them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from experiments.analysis import page
from experiments.analysis.output import RC
from experiments.analysis.panels import COMPONENT_TITLES, STYLES
from experiments.analysis.predicted import EPOCH, EXECUTION, GOAL, words
from experiments.analysis.rates import OF_STATES, OF_UNITS, Rates
from experiments.specs.prediction import Assumptions

_LEFT, _RIGHT = 1.4, 5.5
_ROW, _HEAD, _AXIS, _GROUP = 0.56, 1.25, 0.6, 0.5
_NUMBERS: Mapping[str, tuple[str, float]] = {
    "predicted": ("predicted\nh", 0.85),
    "paper": ("paper\nh", 1.5),
    "error": ("error\n%", 2.15),
    "fitted": ("inputs from\nthis very row", 3.55),
    "inputs": ("other inputs\nof the paper's", 5.35),
}
"""Heading of each column of numbers beside the bars, and where it ends in inches."""

_LETTERS: Mapping[str, int] = {"fitted": 24, "inputs": 34}
"""How wide columns of words are."""


def _folded(ids: str, letters: int) -> str:
    return textwrap.fill(words(ids), letters, break_on_hyphens=False, break_long_words=False)


def figure(table: pd.DataFrame, assumed: Assumptions, rates: Rates) -> Figure:
    """Drawn from :func:`.predicted.table`: components, and Table 6's hours beside them."""
    notes = page.wrap(_notes(table, rates))
    counts = [table[table["data"] == name]["paper_row"].nunique() for name in assumed.datasets]
    foot = page.NOTE * (len(notes) + 1)
    height = _HEAD + sum(_GROUP + _ROW * count + _AXIS for count in counts) + foot
    with mpl.rc_context(RC):
        figure = Figure(figsize=(page.WIDTH, height))
        page.write(
            figure,
            "Table 6 and Figs 9B, 9C · Execution at paper scale · simulated, beside the paper's",
            "8 workers, 16 configurations, the paper's protocol · upper bar: predicted, "
            "lower, paler bar: the paper's",
            notes,
        )
        _legend(figure)
        top = height - _HEAD
        for dataset, count in zip(assumed.datasets.values(), counts, strict=True):
            tall = _ROW * count
            bottom = top - _GROUP - tall
            axes = page.axes(figure, _LEFT, bottom, page.WIDTH - _LEFT - _RIGHT, tall)
            figure.text(
                page.MARGIN,
                (top - 0.2) / height,
                f"{dataset.title}: components of an epoch",
                fontsize=11,
                fontweight="bold",
                va="center",
            )
            figure.text(
                (page.WIDTH - _RIGHT + 0.2) / page.WIDTH,
                (top - 0.02) / height,
                "Table 6: execution, all epochs",
                fontsize=10,
                fontweight="bold",
                va="center",
            )
            _panel(axes, table[table["data"] == dataset.id])
            top = bottom - _AXIS
    return figure


def _legend(figure: Figure) -> None:
    figure.legend(
        handles=[
            Patch(
                facecolor=style["facecolor"],
                hatch=style["hatch"],
                edgecolor="black",
                linewidth=0.6,
                label=COMPONENT_TITLES[name],
            )
            for name, style in STYLES.items()
        ],
        loc="upper left",
        bbox_to_anchor=(0.008, 1 - 0.62 / figure.get_figheight()),
        ncols=len(STYLES),
        frameon=False,
        columnspacing=1.6,
    )


def _panel(axes: Axes, table: pd.DataFrame) -> None:
    groups = [part.set_index("quantity") for _, part in table.groupby("paper_row", sort=False)]
    longest = table[table["quantity"] == EPOCH][["predicted_h", "paper_h"]].max().max()
    axes.set_xlim(0, 1.1 * longest)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_yticks(range(len(groups)), [part["paper_row"].iloc[0] for part in groups])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("hours an epoch, mean per worker")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for name, (heading, _) in _NUMBERS.items():
        _number(axes, -0.72, name, heading, plain=True)
    for place, part in enumerate(groups):
        _bars(axes, place, part, 1.1 * longest)
        total = part.loc[EXECUTION]
        _number(axes, place, "predicted", f"{total['predicted_h']:.1f}")
        _number(axes, place, "paper", f"{total['paper_h']:.1f}")
        missed = "*" if abs(total["error"]) > GOAL and not total["fitted"] else ""
        _number(axes, place, "error", f"{100 * total['error']:+.1f}{missed}")
        for name, letters in _LETTERS.items():
            _number(axes, place, name, _folded(total[name], letters))


def _bars(axes: Axes, place: int, part: pd.DataFrame, span: float) -> None:
    for column, middle, alpha in (("predicted_h", -0.19, 1.0), ("paper_h", 0.19, 0.45)):
        start = 0.0
        for name, style in STYLES.items():
            value = float(part.loc[name, column])
            axes.barh(
                place + middle,
                value,
                0.34,
                left=start,
                facecolor=style["facecolor"],
                hatch=style["hatch"],
                edgecolor="black",
                linewidth=0.5,
                alpha=alpha,
            )
            start += value
        axes.text(
            start + 0.008 * span,
            place + middle,
            f"{start:.2f}",
            va="center",
            fontsize=8.5,
            color="black" if column == "predicted_h" else page.GREY,
        )


def _number(axes: Axes, row: float, name: str, text: str, *, plain: bool = False) -> None:
    width = page.WIDTH - _LEFT - _RIGHT
    axes.text(
        1 + _NUMBERS[name][1] / width,
        row,
        text,
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="center",
        fontsize=7.5 if name in _LETTERS and not plain else 8.5 if plain else 9.5,
        color=page.GREY if name == "paper" else "black",
        fontweight="bold" if name == "error" and not plain else "normal",
        linespacing=1.1,
    )


def _notes(table: pd.DataFrame, rates: Rates) -> list[str]:
    times = table[table["quantity"] == EXECUTION]
    free = times[times["fitted"] == ""]
    within = int((free["error"].abs() <= GOAL).sum())
    return [
        f"{within} of {len(free)} rows that no input was worked out from are within "
        f"{100 * GOAL:.0f} % (* is not); the largest error among them is "
        f"{100 * free['error'].abs().max():.1f} %. Rows with such an input are shown, and count "
        "for nothing. No number was chosen to meet a row.",
        "Predicted from the device table's P100, the paper's grid, the scheduling policies that "
        "also run (means over many orders), rates measured here, and the paper's protocol: MA, "
        "UDAF and CTQ evaluate the training set, too, scan their rows anew for every model and "
        "build it in every unit (MA: once); data-parallel ranks take the nominal batch each.",
        f"Rates measured here (experiments {OF_UNITS} and {OF_STATES}): "
        f"{1e9 * rates.hop_tables:.1f} ns to move a byte of a state through tables, "
        f"{1e9 * rates.hop_store:.1f} through the model store, {1e9 * rates.read:.1f} to read a "
        f"byte of a file, {1e9 * rates.merge:.1f} to average one; "
        f"{1000 * min(rates.dispatch.values()):.0f} to {1000 * max(rates.dispatch.values()):.0f} "
        f"ms to dispatch a unit. At most {100 * times['measured_share'].max():.1f} % of a "
        "prediction rests on them.",
        "The paper's Cerebro-Spark bars and its Criteo row are of a standalone run, and so are the "
        "rates taken for them. What each input is and where it is from stands in the notebook and "
        "in experiments/specs/prediction.toml.",
    ]
