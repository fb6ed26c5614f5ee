"""Fig 12: every configuration of a search by time, ours on the left, the paper's on the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.analysis import measures, page
from experiments.analysis.labels import (
    PAPER_DATASETS,
    ApproachLabel,
    count,
    settings_notes,
    stand_in,
)
from experiments.analysis.output import RC
from experiments.analysis.panels import NOTE_MARK
from experiments.analysis.reference import Reference
from experiments.analysis.runs import Run, comparable

_HEAD, _FOOT = 0.75, 0.55
_PANEL, _GAP_DOWN = 1.35, 0.72
_LEFT, _RIGHT, _GAP = 0.9, 0.25, 0.95
_GREY = "#7a7a7a"
_HOUR = 3600.0
_HOURS_FROM = 2 * _HOUR
_APART = 4.0
"""An approach that takes so many times the median has a time axis of its own."""


def figure(
    table: pd.DataFrame,
    runs: Sequence[Run],
    labels: Mapping[str, ApproachLabel],
    references: Mapping[str, Reference],
) -> Figure:
    """Drawn from :func:`experiments.analysis.searches.table`: a row of panels per approach.

    Thin lines are configurations, the thick one is the best until then; of several seeds the first
    is drawn.
    """
    run = comparable(runs)
    parts = [part for _, part in table.groupby("title", sort=False)]
    notes = page.wrap(_notes(table, runs, references))
    foot = _FOOT + page.NOTE * (len(notes) + 1)
    height = _HEAD + (_PANEL + _GAP_DOWN) * len(parts) + foot - _GAP_DOWN + 0.3
    width = (page.WIDTH - _LEFT - _RIGHT - _GAP) / 2
    measure = measures.of(run.classes)
    mark = "" if measure is measures.TOP5 else f" {measures.MARK}"
    ends = table.groupby(["source", "title"])["seconds"].max()
    usual = ends <= _APART * ends.groupby("source").transform("median")
    longest = ends[usual].groupby("source").max()
    with mpl.rc_context(RC):
        drawn = Figure(figsize=(page.WIDTH, height))
        page.write(drawn, _title(run), subtitle(run, runs), notes)
        for number, part in enumerate(parts):
            bottom = height - _HEAD - 0.3 - _PANEL - (_PANEL + _GAP_DOWN) * number
            approach, title = part["approach"].iloc[0], str(part["title"].iloc[0])
            colour = labels[approach].colour if isinstance(approach, str) else _GREY
            ours, theirs = (part[part["source"] == source] for source in ("here", "paper"))
            ours = ours[ours["seed"] == ours["seed"].min()]
            row = part["paper_row"].iloc[0]
            for side, rows in enumerate((ours, theirs)):
                axes = page.axes(drawn, _LEFT + side * (width + _GAP), bottom, width, _PANEL)
                here = side == 0
                if here:
                    heading = f"{title}: here ({run.evidence})"
                    absent = "not run"
                else:
                    heading = "" if theirs.empty else f"Paper: {row}{_mark(references, row)}"
                    absent = "not in the paper's figure"
                if not rows.empty:
                    source = str(rows["source"].iloc[0])
                    until = longest[source] if usual[source, title] else ends[source, title]
                    heading += "" if usual[source, title] else " · longer time axis"
                    _panel(axes, rows, colour if here else _GREY, until)
                axes.set_title(heading, loc="left", fontsize=10, pad=4)
                axis = measure.title.replace(" validation ", "\nvalidation ") + mark
                if rows.empty:
                    axes.axis("off")
                    axes.text(0, 0.8, absent, va="top", color=page.GREY, style="italic")
                else:
                    axes.set_ylabel(axis if here else "top-5\nvalidation error", fontsize=9)
    return drawn


def _panel(axes: Axes, rows: pd.DataFrame, colour: str, longest: float) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    unit, by = ("hours", _HOUR) if longest >= _HOURS_FROM else ("seconds", 1.0)
    for _, of in rows.groupby("model"):
        shown = of[~of["diverged"]]
        axes.plot(
            shown["seconds"] / by,
            shown["value"],
            color=colour,
            alpha=0.45,
            linewidth=0.9,
            marker=".",
            markersize=3,
        )
    by_time = rows.sort_values(["seconds", "best_so_far"], ascending=[True, False])
    axes.step(
        by_time["seconds"] / by,
        by_time["best_so_far"],
        where="post",
        color="black",
        linewidth=1.8,
    )
    lost = rows[rows["diverged"]]
    highest = rows.loc[~rows["diverged"], "value"].max()
    top = 1.0 if pd.isna(highest) else float(highest)
    axes.plot(lost["seconds"] / by, [top] * len(lost), "x", color="black", markersize=5)
    axes.set_xlim(0, 1.03 * longest / by)
    axes.set_xlabel(f"{unit} since training began", fontsize=9, labelpad=1)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(y=0.1)


def _title(run: Run) -> str:
    spec = run.spec
    return (
        f"Fig 12 · Hyperparameter search · {run.evidence}, {spec.scale} scale, W = {spec.workers}"
    )


def subtitle(run: Run, runs: Sequence[Run]) -> str:
    """What was searched, and how."""
    spec = run.spec
    assert spec.search is not None
    seeds = len({one.spec.seed for one in runs})
    slots = spec.search.concurrency
    at_once = f"in batches of {slots}" if spec.search.batches else f"{slots} at once"
    return (
        f"{stand_in(spec.dataset.name, PAPER_DATASETS.get(spec.experiment))} · "
        f"{spec.search.algorithm.upper()}, {count(spec.search.trials, 'configuration')} "
        f"{at_once} · "
        f"{count(spec.epochs, 'epoch')} · {count(seeds, 'seed')} · protocol {spec.protocol}"
    )


def _mark(references: Mapping[str, Reference], row: str) -> str:
    return f" {NOTE_MARK}" if row in references["table7"].notes else ""


def _notes(
    table: pd.DataFrame, runs: Sequence[Run], references: Mapping[str, Reference]
) -> list[str]:
    run = comparable(runs)
    paper = references["table7"]
    notes = ["Thin: configurations. Thick: the best until then. ×: a configuration that diverged."]
    if run.spec.protocol.search_feedback == "shared":
        notes.append(
            "All approaches here train the same configurations in the same order: the first one's "
            "results decide which, and the others repeat its sequence."
        )
    else:
        notes.append("Each approach here is searched by its own results.")
    notes.append(f"Paper: {paper.dataset}, W = {paper.workers}. {paper.remark}")
    shown = set(table.loc[table["source"] == "paper", "paper_row"])
    notes += [f"{NOTE_MARK} {row}: {note}" for row, note in paper.notes.items() if row in shown]
    if len({one.spec.seed for one in runs}) > 1:
        notes.append("Of several seeds the first is drawn; the table has all.")
    notes += settings_notes(one.spec for one in runs)
    return [*notes, *filter(None, [measures.why_not_top5(run.classes)])]
