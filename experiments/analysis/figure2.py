"""Fig 2: efficiency, which is measured, by ease of data governance, which is judged.

An approach is on the Pareto frontier if no other is at least as good on both axes and better on
one; that is computed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.analysis import page
from experiments.analysis.comparison import EFFICIENCY, JUDGEMENT, PAPER
from experiments.analysis.labels import (
    PAPER_DATASETS,
    ApproachLabel,
    absences,
    stand_in,
)
from experiments.analysis.output import RC
from experiments.analysis.reference import Reference, paper_rows
from experiments.analysis.runs import Run, by_experiment
from experiments.specs.judgements import Axis

GOVERNANCE = "governance"
_MARKERS = "os^DvPX*p<>h"
_HEAD, _LEGEND_ROW, _TITLE = 0.78, 0.24, 0.5
_PANEL, _FOOT = 3.6, 0.62
_LEFT, _RIGHT, _GAP = 1.0, 0.25, 0.4
_COLUMNS = 5
_LETTERS = 36
_BAND = 0.36
"""Half the height of a level's band, in levels."""


@dataclass(frozen=True)
class Point:
    """An approach in one panel.

    Attributes
    ----------
    value, low, high : efficiency, with the extremes of the seeds.
    level : of governance, a place from 0; of the paper's figure a number from 0 to 10.
    """

    approach: str
    value: float
    low: float
    high: float
    level: float


def frontier(points: Sequence[Point]) -> frozenset[str]:
    """The approaches that none of the others dominates; more is better on both axes."""
    return frozenset(
        one.approach
        for one in points
        if not any(
            other.value >= one.value
            and other.level >= one.level
            and (other.value, other.level) != (one.value, one.level)
            for other in points
        )
    )


def table(
    compared: pd.DataFrame, labels: Mapping[str, ApproachLabel], paper: Reference
) -> pd.DataFrame:
    """The two axes of every approach, and whether it is on the frontier.

    Returns
    -------
    DataFrame
        Rows of :func:`experiments.analysis.comparison.table` of the axes ``efficiency`` and
        ``governance``, for each experiment; then the paper's points, whose evidence is ``paper`` on
        both axes and whose ``value`` goes from 0 to 10. ``frontier`` is of the approach in its
        panel.
    """
    efficiency = compared[(compared["axis"] == EFFICIENCY) & (compared["evidence"] != PAPER)]
    judged = compared[(compared["axis"] == GOVERNANCE) & (compared["evidence"] == JUDGEMENT)]
    parts = []
    for experiment, part in efficiency.groupby("experiment", sort=False):
        mine = judged[judged["approach"].isin(part["approach"])].assign(
            experiment=experiment, dataset=part["dataset"].iloc[0]
        )
        both = pd.concat([part, mine])
        best = frontier(_points(both))
        parts.append(both.assign(frontier=both["approach"].isin(best)))
    rows = [
        {
            "approach": approach,
            "title": labels[approach].title,
            "axis": axis,
            **dict.fromkeys(("value", "low", "high"), paper.value(row, axis)),
            "evidence": PAPER,
        }
        for approach, row in paper_rows(labels, paper).items()
        for axis in (EFFICIENCY, GOVERNANCE)
    ]
    theirs = pd.DataFrame(rows).assign(experiment="", dataset="", words="", reason="", runs="")
    best = frontier(_points(theirs))
    parts.append(theirs.assign(frontier=theirs["approach"].isin(best)))
    return pd.concat(parts, ignore_index=True)


def _points(rows: pd.DataFrame) -> list[Point]:
    levels = rows[rows["axis"] == GOVERNANCE].set_index("approach")["value"]
    return [
        Point(
            str(row["approach"]),
            float(row["value"]),
            float(row["low"]),
            float(row["high"]),
            float(levels[row["approach"]]),
        )
        for row in rows[rows["axis"] == EFFICIENCY].to_dict("records")
        if row["approach"] in levels.index
    ]


def figure(
    drawn: pd.DataFrame,
    runs: Sequence[Run],
    labels: Mapping[str, ApproachLabel],
    axis: Axis,
    paper: Reference,
) -> Figure:
    """Drawn from :func:`table`: a panel for each experiment, and the paper's."""
    experiments = by_experiment(runs)
    first = runs[0]
    shown = [approach for approach in labels if approach in set(drawn["approach"])]
    markers = dict(zip(shown, _MARKERS, strict=False))
    notes = page.wrap(_notes(list(experiments), first.spec.scale, paper))
    legend = -(-(len(shown) + 1) // _COLUMNS)
    head = _HEAD + _LEGEND_ROW * legend + _TITLE
    foot = _FOOT + page.NOTE * (len(notes) + 1)
    panels = [*experiments, ""]
    width = (page.WIDTH - _LEFT - _RIGHT - _GAP * (len(panels) - 1) - 0.35) / len(panels)
    with mpl.rc_context(RC):
        made = Figure(figsize=(page.WIDTH, head + _PANEL + foot))
        page.write(
            made,
            f"Figure 2 · Efficiency and ease of data governance · {first.shown}, "
            f"{first.spec.scale} scale, W = {first.spec.workers}",
            f"hollow: across {first.evidence}, up a judgement, with its reason in 2.csv · "
            "crosses: the paper's, judged on both axes",
            notes,
        )
        _legend(made, shown, labels, markers)
        for number, experiment in enumerate(panels):
            left = _LEFT + number * (width + _GAP) + (0.35 if not experiment else 0.0)
            axes = page.axes(made, left, foot, width, _PANEL)
            points = _points(drawn[drawn["experiment"] == experiment])
            if experiment:
                title = stand_in(
                    experiments[experiment][0].spec.dataset.name, PAPER_DATASETS.get(experiment)
                )
                title = textwrap.fill(title, _LETTERS)
                _ours(axes, points, labels, markers, axis, f"({first.evidence})", named=number == 0)
            else:
                title = "The paper, placed by hand"
                _theirs(axes, points, labels)
            axes.set_title(title, loc="left", fontsize=10, pad=6)
    return made


def _ours(
    axes: Axes,
    points: Sequence[Point],
    labels: Mapping[str, ApproachLabel],
    markers: Mapping[str, str],
    axis: Axis,
    evidence: str,
    *,
    named: bool,
) -> None:
    places = _places(points)
    for level in range(len(axis.levels)):
        axes.axhspan(level - 0.43, level + 0.43, color="#f3f3f0", zorder=0, linewidth=0)
    best = sorted(
        (point for point in points if point.approach in frontier(points)),
        key=lambda point: (point.value, -point.level),
    )
    axes.plot(
        [point.value for point in best],
        [places[point.approach] for point in best],
        "--",
        color="black",
        linewidth=1.1,
        zorder=1,
    )
    for point in points:
        colour, place = labels[point.approach].colour, places[point.approach]
        if point.high > point.low:
            axes.hlines(place, point.low, point.high, color=colour, linewidth=1.2)
        axes.plot(
            point.value,
            place,
            markers[point.approach],
            markersize=9,
            markerfacecolor="white",
            markeredgecolor=colour,
            markeredgewidth=2.3 if point in best else 1.2,
            linestyle="",
        )
    axes.set_xlim(-0.04, 1.06)
    axes.set_ylim(-0.5, len(axis.levels) - 0.5)
    axes.set_yticks(range(len(axis.levels)), axis.levels if named else [])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"efficiency: fastest time / time {evidence}", fontsize=9)
    if named:
        axes.set_ylabel(f"{axis.title} (judgement)", fontsize=9)
    _spines(axes)


def _places(points: Sequence[Point]) -> dict[str, float]:
    """Heights: those of one level lie apart within its band, the most efficient lowest."""
    found: dict[str, float] = {}
    for level in {point.level for point in points}:
        of = sorted((one for one in points if one.level == level), key=lambda one: -one.value)
        step = 2 * _BAND / len(of)
        for number, point in enumerate(of):
            found[point.approach] = level - _BAND + (number + 0.5) * step
    return found


def _theirs(axes: Axes, points: Sequence[Point], labels: Mapping[str, ApproachLabel]) -> None:
    best = sorted(
        (point for point in points if point.approach in frontier(points)),
        key=lambda point: point.value,
    )
    axes.plot(
        [point.value for point in best],
        [point.level for point in best],
        "--",
        color="black",
        linewidth=1.1,
        zorder=1,
    )
    for point in points:
        axes.plot(
            point.value,
            point.level,
            "x",
            color=labels[point.approach].colour,
            markersize=9,
            markeredgewidth=2.6 if point in best else 1.2,
        )
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 10)
    axes.set_xlabel("efficiency (judgement)", fontsize=9)
    axes.set_ylabel("ease of data governance (judgement)", fontsize=9)
    axes.grid(color="#eeeeee", linewidth=0.6)
    axes.set_axisbelow(True)
    _spines(axes)


def _spines(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(
    figure: Figure,
    shown: Sequence[str],
    labels: Mapping[str, ApproachLabel],
    markers: Mapping[str, str],
) -> None:
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=markers[approach],
            markersize=8,
            markerfacecolor="white",
            markeredgecolor=labels[approach].colour,
            markeredgewidth=1.4,
            label=labels[approach].title,
        )
        for approach in shown
    ]
    handles.append(
        Line2D([], [], linestyle="--", color="black", linewidth=1.1, label="Pareto frontier (bold)")
    )
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.008, 1 - 0.66 / figure.get_figheight()),
        ncols=_COLUMNS,
        frameon=False,
        fontsize=9,
        columnspacing=1.4,
        handletextpad=0.6,
    )


def _notes(experiments: Sequence[str], scale: str, paper: Reference) -> list[str]:
    return [
        "Efficiency: time of execution of the fastest approach over this one's, without ETL, for "
        "the same epochs. What these teach is not in it: in the paper MA learns slower "
        "(Figure 9A), so by the time to an error it would stand further left.",
        "Governance: a level, with its reason in experiments/specs/judgements.toml; within a "
        "level's band the height has no meaning. The frontier is computed of efficiency and level.",
        paper.remark,
        *(f"{row}: {note}" for row, note in paper.notes.items()),
        *absences(experiments, scale),
    ]
