"""Fig 9A: validation measures by epoch, ours beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import curves, lines, measures, slower
from experiments.analysis.labels import (
    PAPER_DATASETS,
    ApproachLabel,
    absences,
    count,
    dataset_title,
    stand_in,
)
from experiments.analysis.panels import NOTE_MARK
from experiments.analysis.reference import Reference, paper_order

NO_CURVES = {
    "Criteo": "The paper shows no curves on Criteo: all approaches soon had about 99 % accuracy."
}
"""What the paper says instead of curves (technical report, Section 5.1)."""

_GREYS = ("#333333", "#888888", "#5f5f5f")

NOT_IN_THE_PAPER = "This data set is not in the paper."


def figure(
    table: pd.DataFrame, labels: Mapping[str, ApproachLabel], paper: Reference, scale: str
) -> Figure:
    """Drawn from :func:`experiments.analysis.curves.table`: ours on the left, the paper's right.

    A data set of two classes has log-loss on the left and AUC on the right.
    """
    ours = table[table["source"] == "here"]
    first = ours.iloc[0]
    experiments = list(ours["experiment"].unique())
    seeds = ours["seed"].nunique()
    return lines.draw(
        title=(
            f"Fig {paper.figure.upper()} · Validation measures by epoch · "
            f"{first['evidence']}, {scale} scale, W = {first['workers']}"
        ),
        subtitle=(
            "Each approach's best configuration: lowest at the last epoch · "
            f"{count(seeds, 'seed')}{' (mean)' if seeds > 1 else ''} · protocol {first['protocol']}"
        ),
        rows=[_row(table, experiment, paper) for experiment in experiments],
        styles=_styles(table, labels, paper),
        notes=[*_notes(table, experiments, paper, seeds), *absences(experiments, scale)],
    )


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Which configuration is drawn, one row per data set and approach, in words.

    The measure after the last epoch is a mean over the seeds; ``diverged`` counts configurations
    that became NaN or infinite in any epoch and seed.
    """
    rows = []
    ours = table[table["source"] == "here"]
    for (experiment, title), part in ours.groupby(["experiment", "title"], sort=False):
        chosen = part[part["best"]]
        last = chosen[chosen["epoch"] == part["epoch"].max()]
        config, value = "none: all diverged", "–"
        if not last.empty:
            config, value = last["config"].iloc[0], f"{last['value'].mean():.4f}"
        rows.append(
            {
                "data set": dataset_title(part["dataset"].iloc[0]),
                "approach": title,
                "best configuration": config,
                "measure": part["measure"].iloc[0],
                "last epoch": value,
                "paper, last epoch": _papers_last(table, experiment, part["paper_row"].iloc[0]),
                "diverged": part.loc[part["diverged"], "config"].nunique(),
                "configurations": part["config"].nunique(),
            }
        )
    return pd.DataFrame(rows)


def _papers_last(table: pd.DataFrame, experiment: str, row: str | None) -> str:
    paper = curves.drawn(table, experiment, "paper")
    values = paper.loc[paper["paper_row"] == row, "value"]
    return "–" if values.empty else f"{values.iloc[-1]:.4f} ({paper['measure'].iloc[0]})"


def _row(table: pd.DataFrame, experiment: str, paper: Reference) -> lines.Row:
    every = table[(table["experiment"] == experiment) & (table["source"] == "here")]
    papers = PAPER_DATASETS.get(experiment)
    first = every.iloc[0]
    classes, evidence = int(first["classes"]), first["evidence"]
    ours = curves.drawn(table, experiment)
    measure = measures.of(classes)
    mark = "" if measure is measures.TOP5 else f" {measures.MARK}"
    left = lines.Panel(
        title=f"Here ({evidence}): {measure.title}",
        axis=measure.title + mark,
        curves=_curves(ours, "value"),
        absent="Every configuration diverged.",
    )
    theirs = curves.drawn(table, experiment, "paper")
    if classes == 2:
        right = lines.Panel(
            title=f"Here ({evidence}): AUC of the same configurations",
            axis=measures.AUC.title,
            curves=_curves(ours, measures.AUC.column),
            absent="Every configuration diverged, or the AUC was not recorded.",
        )
    elif theirs.empty:
        said = NO_CURVES.get(papers or "", NOT_IN_THE_PAPER)
        right = lines.Panel(title="Paper", axis="", curves=(), absent=said)
    else:
        right = lines.Panel(
            title=f"Paper: {paper.dataset}, W = {paper.workers}",
            axis=paper.unit,
            curves=_curves(theirs, "value"),
            spread=False,
        )
    heading = (
        f"{stand_in(first['dataset'], papers)} · {classes} classes · "
        f"{count(every['config'].nunique(), 'configuration')}"
    )
    return lines.Row(heading, left, right)


def _key(approach: object, row: object) -> str:
    """The name of a line's style: the approach's, or the paper's row where we have no such."""
    return approach if isinstance(approach, str) else f"paper: {row}"


def _curves(rows: pd.DataFrame, column: str) -> tuple[lines.Curve, ...]:
    """A curve for each approach that has a value in this column."""
    drawn = []
    for _, part in rows.groupby("title", sort=False):
        values = curves.by_epoch(part, column)
        if values["mean"].notna().any():
            drawn.append(
                lines.Curve(
                    style=_key(part["approach"].iloc[0], part["paper_row"].iloc[0]),
                    epochs=tuple(int(epoch) for epoch in values.index),
                    values=tuple(values["mean"]),
                    low=tuple(values["low"]),
                    high=tuple(values["high"]),
                )
            )
    return tuple(drawn)


def _styles(
    table: pd.DataFrame, labels: Mapping[str, ApproachLabel], paper: Reference
) -> dict[str, lines.Style]:
    """A style for every approach and row in the table; what a row is called in the paper."""
    of_paper = table[table["source"] == "paper"]
    theirs, shown = (
        {_key(*pair) for pair in zip(part["approach"], part["paper_row"], strict=True)}
        for part in (of_paper, table)
    )
    styles = {}
    for place, (approach, title, row) in enumerate(paper_order(labels, paper)):
        key = _key(approach, row)
        if key not in shown:
            continue
        name = title
        if key in theirs:
            name += f" (paper: {row})" if row != title else ""
            name += f" {NOTE_MARK}" if row in paper.notes else ""
        colour = labels[approach].colour if approach else _GREYS[place % len(_GREYS)]
        styles[key] = lines.Style(name, colour, place)
    return styles


def _notes(
    table: pd.DataFrame, experiments: Sequence[str], paper: Reference, seeds: int
) -> list[str]:
    notes = []
    for experiment in experiments:
        rows = table[(table["experiment"] == experiment) & (table["source"] == "here")]
        name = dataset_title(rows["dataset"].iloc[0])
        notes.append(slower.sentence(name, curves.drawn(table, experiment)))
        theirs = curves.drawn(table, experiment, "paper")
        if not theirs.empty:
            notes.append(slower.sentence(f"The paper, {paper.dataset}", theirs))
        elif PAPER_DATASETS.get(experiment) in NO_CURVES:
            notes.append(NO_CURVES[PAPER_DATASETS[experiment]])
    small = {measures.why_not_top5(int(classes)) for classes in table["classes"].dropna().unique()}
    notes += sorted(note for note in small if note)
    notes.append("Our points are moved sideways a little, so that equal curves can be told apart.")
    if seeds > 1:
        notes.append("Lines: means over the seeds. Whiskers: smallest and largest over the seeds.")
    if (table["source"] == "paper").any():
        notes += [f"{NOTE_MARK} {note}" for note in paper.notes.values()]
        notes += [paper.remark] if paper.remark else []
    return notes
