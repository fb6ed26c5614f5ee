"""Table 6, ETL: a stacked bar for every approach, ours beside the paper's, by data set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import page, panels
from experiments.analysis.durations import ETL_PHASES
from experiments.analysis.end_to_end import paper_table
from experiments.analysis.etl import NOT_RUN, NOTHING, REST, TOTAL, paper_reading
from experiments.analysis.labels import (
    PAPER_DATASETS,
    absences,
    count,
    dataset_title,
    settings_notes,
    stand_in,
)
from experiments.analysis.output import RC
from experiments.analysis.panels import Bar
from experiments.analysis.reference import Reference
from experiments.analysis.runs import Run, by_experiment
from experiments.analysis.table6 import INTERRUPTED_MARK, other_names, seconds

UNDIVIDED = "undivided"

STYLES: panels.Styles = {
    "load": {"facecolor": "#1b4f72", "hatch": "", "ink": "white"},
    "pack": {"facecolor": "#e08e2b", "hatch": "///", "ink": "black"},
    "export": {"facecolor": "#c3e3d2", "hatch": "xxx", "ink": "black"},
    "cast": {"facecolor": "#8c6bb1", "hatch": "", "ink": "white"},
    "read": {"facecolor": "#f6d55c", "hatch": "\\\\\\", "ink": "black"},
    REST: {"facecolor": "#ecebe4", "hatch": "..", "ink": "black"},
}
"""How each phase is drawn."""

PAPER_STYLES: panels.Styles = {
    UNDIVIDED: {"facecolor": "#b0b0b0", "hatch": "", "ink": "black"},
    "read": STYLES["read"],
}
"""The paper's total is one piece, but for what is known of it."""

TITLES: Mapping[str, str] = {
    **{phase: phase for phase in ETL_PHASES},
    REST: REST,
    UNDIVIDED: "paper: not told apart",
}
_GROUP = 0.62


def figure(table: pd.DataFrame, runs: Sequence[Run], references: Mapping[str, Reference]) -> Figure:
    """Drawn from :func:`experiments.analysis.etl.table`: two panels for each data set."""
    experiments = by_experiment(runs)
    first = runs[0]
    groups = {
        name: [part for _, part in table[table["experiment"] == name].groupby("title", sort=False)]
        for name in experiments
    }
    notes = page.wrap(_notes(table, runs, references))
    foot = page.NOTE * (len(notes) + 1)
    tall = [_GROUP + panels.ROW * len(parts) + panels.AXIS for parts in groups.values()]
    height = panels.HEAD - _GROUP / 2 + sum(tall) + foot
    with mpl.rc_context(RC):
        figure = Figure(figsize=(page.WIDTH, height))
        bottom = foot + sum(tall)
        for (name, parts), inches in zip(groups.items(), tall, strict=True):
            bottom -= inches
            _group(figure, bottom + panels.AXIS, parts, experiments[name][0], references)
        page.write(
            figure,
            f"Table 6, ETL · Bringing the data to where they train · {first.shown}, "
            f"{first.spec.scale} scale, W = {first.spec.workers}",
            f"{count(int(table['seeds'].max()), 'seed')} · protocol {first.spec.protocol} · "
            "under each bar: its phases, in the legend's order",
            notes,
        )
        panels.legend(figure, {**STYLES, **PAPER_STYLES}, TITLES)
    return figure


def _group(
    figure: Figure,
    bottom: float,
    parts: Sequence[pd.DataFrame],
    run: Run,
    references: Mapping[str, Reference],
) -> None:
    """The two panels of a data set."""
    left, right = panels.sides(figure, bottom, len(parts))
    data, paper = run.spec.dataset, paper_table(run.spec.experiment, references)
    title = f"{dataset_title(data.name)}, {data.train_rows + data.valid_rows:,} rows"
    panels.panel(left, [_ours(part) for part in parts], STYLES, title, "seconds", NOT_RUN)
    if paper is None:
        right.set_axis_off()
    else:
        theirs = f"Paper: {paper.dataset}, W = {paper.workers}"
        bars = [_papers(part) for part in parts]
        panels.panel(right, bars, PAPER_STYLES, theirs, "hours", "not in the paper's table")
    panels.name_rows(
        left,
        right,
        [
            str(part["title"].iloc[0]) + (INTERRUPTED_MARK if part["interrupted"].any() else "")
            for part in parts
        ],
    )


def _ours(part: pd.DataFrame) -> Bar | None:
    by_phase = part.set_index("phase")
    if not part["seeds"].iloc[0]:
        return None
    values = {phase: float(by_phase.loc[phase, "seconds"]) for phase in (*ETL_PHASES, REST)}
    known = {phase: 0.0 if math.isnan(value) else value for phase, value in values.items()}
    total = by_phase.loc[TOTAL]
    return Bar(
        values=tuple(known.values()),
        under=" · ".join(NOTHING if math.isnan(v) else seconds(v) for v in values.values()),
        low=float(total["seconds_low"]),
        high=float(total["seconds_high"]),
    )


def _papers(part: pd.DataFrame) -> Bar | None:
    hours = part.set_index("phase")["paper_h"].astype(float)
    total, read = float(hours[TOTAL]), float(hours["read"])
    if math.isnan(total):
        return None
    known = 0.0 if math.isnan(read) else read
    under = f"load and pack {total - known:.1f} · read {known:.1f}" if known else ""
    return Bar((total - known, known), under, total, total)


def _notes(
    table: pd.DataFrame, runs: Sequence[Run], references: Mapping[str, Reference]
) -> list[str]:
    experiments = by_experiment(runs)
    notes = [
        "; ".join(
            stand_in(group[0].spec.dataset.name, PAPER_DATASETS.get(name))
            for name, group in experiments.items()
        )
        + ": compare order and shares.",
        "Load: rows into the segments, checked. Pack: rows into buffers; in Cerebro-Spark "
        "(cerebro-dl) the package's own writing. Export: out of the segments to Parquet. Cast: to "
        "the types of what trains. Read: page files into workers. Rest: connecting, telling the "
        f"coordinator, starting Spark, loading the page reader. {NOTHING}: the approach has no "
        "such phase. An approach without any reads the prepared files as they are.",
        "A database and Parquet files belong to one run, so every approach pays for its own. What "
        "workers do at once takes as long as the slowest of them. At a bar's end: Table 6's ETL.",
    ]
    blank = table[(table["bytes"] == 0) & table["phase"].isin(ETL_PHASES)]
    notes += [
        f"Bytes not recorded: {row.title}, {row.phase} ({dataset_title(row.dataset)})."
        for row in blank.itertuples(index=False)
    ]
    if int(table["seeds"].max()) > 1:
        notes.append("Whiskers: smallest and largest ETL over the seeds.")
    if table["interrupted"].any():
        notes.append(
            f"{INTERRUPTED_MARK} Interrupted: what it did twice counts twice; what an earlier "
            "start had finished counts as long as it took then."
        )
    notes += other_names(table)
    readings = [paper_reading(each, references) for each in experiments]
    notes += dict.fromkeys(paper.remark for paper in readings if paper is not None)
    return [
        *notes,
        *settings_notes(run.spec for run in runs),
        *absences(experiments, runs[0].spec.scale),
    ]
