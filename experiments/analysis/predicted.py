"""Table 6's execution times and Figs 9B and 9C's components at paper scale, predicted."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from experiments.analysis import page
from experiments.analysis.labels import ApproachLabel
from experiments.analysis.output import RC
from experiments.analysis.panels import COMPONENT_TITLES, STYLES
from experiments.analysis.prediction import Epoch, epoch
from experiments.analysis.pricing import Job, Prices
from experiments.analysis.rates import OF_STATES, OF_UNITS, Rates
from experiments.analysis.reference import Reference
from experiments.specs.prediction import Assumptions, Input, PaperRow, Predicted

GOAL = 0.15
"""How far a prediction may be from the paper's value that nothing of it was fitted to."""

EXECUTION, EPOCH = "execution", "epoch"

_HOUR = 3600.0
_LEFT, _RIGHT = 1.4, 5.5
_ROW, _HEAD, _AXIS, _GROUP = 0.56, 1.25, 0.6, 0.5
_NUMBERS: Mapping[str, tuple[str, float]] = {
    "predicted": ("predicted\nh", 0.85),
    "paper": ("paper\nh", 1.5),
    "error": ("error\n%", 2.15),
    "fitted": ("inputs from\nthis very row", 3.4),
    "inputs": ("other inputs\nof the paper's", 5.35),
}
"""Heading of each column of numbers beside the bars, and where it ends in inches."""

_LETTERS: Mapping[str, int] = {"fitted": 18, "inputs": 34}
"""How wide columns of words are."""


def table(
    rates: Rates,
    assumed: Assumptions,
    labels: Mapping[str, ApproachLabel],
    references: Mapping[str, Reference],
) -> pd.DataFrame:
    """Predictions beside the paper's values.

    Returns
    -------
    DataFrame
        For each data set and row of the paper ``execution`` (Table 6, all epochs), the components
        of an epoch (Fig 9B or 9C) and ``epoch``, their sum:

        ``data``, ``paper_row``, ``approach`` of ours whose rates were taken, and its ``title``
        ``quantity``; ``predicted_h`` and ``paper_h`` in hours; ``error`` relative to the paper's
        ``fitted`` inputs that were worked out from this very row, ``;`` between them
        ``inputs`` all others that are the paper's own or derived from it
        ``measured_share`` of the prediction that rests on rates measured here
        ``evidence`` ``simulated``
    """
    rows = [
        {**about, **cells}
        for dataset in assumed.datasets.values()
        for about, cells in _rows(dataset, rates, assumed, labels, references)
    ]
    return pd.DataFrame(rows)


def _rows(
    dataset: Predicted,
    rates: Rates,
    assumed: Assumptions,
    labels: Mapping[str, ApproachLabel],
    references: Mapping[str, Reference],
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    job = Job.of_paper(dataset)
    times, bars = references[dataset.table], references[dataset.components]
    for row in assumed.rows.values():
        if row.name not in times.rows:
            continue
        used = assumed.used(dataset.id, row.way)

        def predicted(paper: Reference, row: PaperRow = row) -> tuple[dict[str, Any], Epoch]:
            approach = row.approach(paper.figure)
            about = {
                "data": dataset.id,
                "paper_row": row.name,
                "approach": approach,
                "title": labels[approach].title,
            }
            return about, epoch(Prices(job, row, approach, rates, assumed))

        about, found = predicted(times)
        hours = found.seconds * job.epochs / _HOUR
        cells = _cells(EXECUTION, hours, times.value(row.name, "exec_h"), times, row, used)
        yield about, {**cells, "measured_share": found.measured / found.seconds}
        about, found = predicted(bars)
        values = dict(
            zip(
                COMPONENT_TITLES,
                (found.train_valid, found.data, found.model, found.specific),
                strict=True,
            )
        )
        papers = {name: bars.value(row.name, name) for name in COMPONENT_TITLES}
        values[EPOCH] = found.seconds
        papers[EPOCH] = sum(value or 0.0 for value in papers.values())
        for name, seconds in values.items():
            cells = _cells(name, seconds / _HOUR, papers[name], bars, row, used)
            yield about, {**cells, "measured_share": found.measured / found.seconds}


def _cells(
    quantity: str,
    hours: float,
    paper: float | None,
    figure: Reference,
    row: PaperRow,
    used: Sequence[Input],
) -> dict[str, Any]:
    fitted = [each.id for each in used if f"{figure.figure}/{row.name}" in each.fitted]
    theirs = [each.id for each in used if each.kind != "textbook" and each.id not in fitted]
    return {
        "quantity": quantity,
        "predicted_h": hours,
        "paper_h": paper,
        "error": hours / paper - 1.0 if paper else None,
        "fitted": ";".join(fitted),
        "inputs": ";".join(theirs),
        "evidence": "simulated",
    }


def summary(table: pd.DataFrame, assumed: Assumptions) -> pd.DataFrame:
    """Table 6 in words: one row per data set and row of the paper."""
    found = table[table["quantity"] == EXECUTION]
    index = pd.MultiIndex.from_arrays(
        [[assumed.datasets[name].title for name in found["data"]], found["paper_row"]],
        names=["data set", "row"],
    )
    return pd.DataFrame(
        {
            "predicted (h)": [f"{value:.1f}" for value in found["predicted_h"]],
            "paper (h)": [f"{value:.1f}" for value in found["paper_h"]],
            "error": [f"{100 * value:+.1f} %" for value in found["error"]],
            "rates of": list(found["title"]),
            "rates' share": [f"{100 * value:.2f} %" for value in found["measured_share"]],
            "inputs from this very row": [_words(value) for value in found["fitted"]],
            "other inputs of the paper's": [_words(value) for value in found["inputs"]],
        },
        index=index,
    )


def inputs(assumed: Assumptions) -> pd.DataFrame:
    """Every input: what it is, whose predictions use it, and which rows it was worked out from."""
    return pd.DataFrame(
        {
            "value": ["" if each.value is None else f"{each.value:.5g}" for each in _all(assumed)],
            "kind": [each.kind for each in _all(assumed)],
            "of": [each.data or "both" for each in _all(assumed)],
            "ways": [", ".join(each.ways) for each in _all(assumed)],
            "worked out from": [", ".join(each.fitted) or "–" for each in _all(assumed)],
            "source": [each.source for each in _all(assumed)],
        },
        index=pd.Index(list(assumed.inputs), name="input"),
    )


def _all(assumed: Assumptions) -> list[Input]:
    return list(assumed.inputs.values())


def _words(ids: str) -> str:
    return ids.replace(";", ", ") or "–"


def _folded(ids: str, letters: int) -> str:
    return textwrap.fill(_words(ids), letters, break_on_hyphens=False)


def figure(table: pd.DataFrame, assumed: Assumptions, rates: Rates) -> Figure:
    """Drawn from :func:`table`: an epoch's components, and Table 6's hours beside them."""
    notes = page.wrap(_notes(table, rates))
    counts = [table[table["data"] == name]["paper_row"].nunique() for name in assumed.datasets]
    foot = page.NOTE * (len(notes) + 1)
    height = _HEAD + sum(_GROUP + _ROW * count + _AXIS for count in counts) + foot
    with mpl.rc_context(RC):
        figure = Figure(figsize=(page.WIDTH, height))
        page.write(
            figure,
            "Table 6 and Figs 9B, 9C · Execution at paper scale · simulated, beside the paper's",
            "8 emulated P100s, 16 configurations, the paper's protocol · upper bar: predicted, "
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
