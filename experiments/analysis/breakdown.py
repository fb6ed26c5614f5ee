"""Figs 9B and 9C: where an epoch's time goes, ours beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import panels, tidy
from experiments.analysis.labels import (
    ApproachLabel,
    absences,
    count,
    dataset_title,
    settings_notes,
    stand_in,
)
from experiments.analysis.reference import Reference, paper_order
from experiments.analysis.runs import Run, comparable
from experiments.errors import SpecError

TOTAL = "total"
INITIALIZATION = "initialization"

IMPUTED_NOTE = (
    "* typed in as a constant, or copied from another approach, by the original release's "
    "plotting notebook; not measured."
)


def table(
    runs: Sequence[Run], labels: Mapping[str, ApproachLabel], paper: Reference
) -> pd.DataFrame:
    """The breakdown of one or more runs beside the paper's.

    Approaches come in the order of ``labels``; then the paper's rows that no label names.
    Approaches that were not run are there with the paper's side only, approaches that neither was
    run nor is in the paper are left out.

    Parameters
    ----------
    runs : finished runs that differ in approach, policy and seed only.
    labels : approach id to its display name and its row in the paper.
    paper : the paper's figure.

    Returns
    -------
    DataFrame
        Six rows per approach: the four components, ``total`` (their sum) and ``initialization``
        (before the first epoch, part of no other row). Columns:

        ``approach`` its id, none for a row of the paper that no label names; ``title``;
        ``paper_row`` its name in the paper; ``component``
        ``ours_s`` seconds per epoch, mean over workers and seeds; for ``initialization`` seconds
        per worker for the whole run
        ``ours_low, ours_high`` smallest and largest over the seeds
        ``ours_share`` part of the epoch, 0 to 1
        ``paper_h`` hours per epoch, mean per worker
        ``paper_share`` part of the paper's epoch, 0 to 1
        ``paper_imputed`` whether the release typed in or copied the paper's value
        ``seeds`` number of runs behind ``ours_s``; ``runs`` their names
        ``evidence`` kind of evidence of ours

    Raises
    ------
    SpecError
        The runs cannot stand in one figure, or one is of an approach that has no label.
    """
    evidence = comparable(runs).evidence
    of_approach: dict[str, list[Run]] = {}
    for run in runs:
        if run.spec.approach not in labels:
            raise SpecError(f"{run.name}: approach {run.spec.approach!r} has no label")
        of_approach.setdefault(run.spec.approach, []).append(run)
    rows: list[dict[str, Any]] = []
    for approach, title, paper_row in paper_order(labels, paper):
        repeats = of_approach.get(approach, []) if approach else []
        if not repeats and paper_row is None:
            continue
        ours, theirs = _ours(repeats), _paper(paper, paper_row)
        rows += [
            {
                "approach": approach,
                "title": title,
                "paper_row": paper_row,
                "component": component,
                **ours[component],
                **theirs[component],
                "seeds": len(repeats),
                "runs": ";".join(run.name for run in repeats),
                "evidence": evidence if repeats else None,
            }
            for component in (*tidy.COMPONENTS, TOTAL, INITIALIZATION)
        ]
    return pd.DataFrame(rows)


def _ours(repeats: Sequence[Run]) -> dict[str, dict[str, float]]:
    samples: dict[str, list[float]] = {
        component: [] for component in (*tidy.COMPONENTS, TOTAL, INITIALIZATION)
    }
    for run in repeats:
        parts = tidy.components(run).set_index("component")["seconds"]
        for component in tidy.COMPONENTS:
            samples[component].append(float(parts[component]))
        samples[TOTAL].append(float(parts.sum()))
        samples[INITIALIZATION].append(tidy.initialization(run))
    missing = float("nan")
    means = {
        component: sum(values) / len(values) if values else missing
        for component, values in samples.items()
    }
    return {
        component: {
            "ours_s": means[component],
            "ours_low": min(values, default=missing),
            "ours_high": max(values, default=missing),
            "ours_share": _share(means, component),
        }
        for component, values in samples.items()
    }


def _paper(paper: Reference, row: str | None) -> dict[str, dict[str, float | bool]]:
    missing = float("nan")
    hours = dict.fromkeys((*tidy.COMPONENTS, TOTAL, INITIALIZATION), missing)
    imputed: frozenset[str] = frozenset()
    if row is not None:
        for component in tidy.COMPONENTS:
            value = paper.value(row, component)
            hours[component] = missing if value is None else value
        hours[TOTAL] = sum(hours[component] for component in tidy.COMPONENTS)
        imputed = paper.imputed.get(row, frozenset())
    return {
        component: {
            "paper_h": hours[component],
            "paper_share": _share(hours, component),
            "paper_imputed": component in imputed,
        }
        for component in hours
    }


def _share(values: Mapping[str, float], component: str) -> float:
    if component == INITIALIZATION or not values[TOTAL]:
        return float("nan")
    return values[component] / values[TOTAL]


def summary(breakdown: pd.DataFrame) -> pd.DataFrame:
    """The table as a reader wants it, in words: one row per approach, ours and then the paper's.

    Two groups of columns, seconds (ours) and hours (the paper's), each with the four components and
    their total. The numbers are rounded for reading; ``breakdown`` has them in full.
    """
    rows: dict[str, dict[tuple[str, str], str]] = {}
    for side, column, absent in (
        ("ours (s per epoch)", "ours_s", "not run"),
        ("paper (h per epoch)", "paper_h", "–"),
    ):
        for component, heading in {**panels.COMPONENT_TITLES, TOTAL: TOTAL}.items():
            part = breakdown[breakdown["component"] == component]
            for title, value in zip(part["title"], part[column], strict=True):
                text = absent if pd.isna(value) else panels.number(value)
                rows.setdefault(title, {})[side, heading] = text
    wide = pd.DataFrame(list(rows.values()), index=pd.Index(list(rows), name="approach"))
    wide.columns = pd.MultiIndex.from_tuples(wide.columns)
    return wide


def figure(breakdown: pd.DataFrame, runs: Sequence[Run], paper: Reference) -> Figure:
    """Drawn from :func:`table`: our seconds on the left, the paper's hours on the right."""
    return panels.draw(breakdown, _heading(breakdown, runs, paper))


def _heading(breakdown: pd.DataFrame, runs: Sequence[Run], paper: Reference) -> panels.Heading:
    """Title, panel titles and footnotes of a breakdown figure.

    The title names kind of evidence, scale, W and the data set, and which data set of the paper
    ours stands in for.
    """
    run = comparable(runs)
    spec = run.spec
    seeds = len({one.spec.seed for one in runs})
    return panels.Heading(
        title=(
            f"Fig {paper.figure.upper()} · {paper.title} · "
            f"{run.shown}, {spec.scale} scale, W = {spec.workers}"
        ),
        subtitle=(
            f"{stand_in(spec.dataset.name, paper.dataset)} · "
            f"{spec.dataset.train_rows:,} training rows · "
            f"{count(len(spec.configs), 'model')} · {count(spec.epochs, 'epoch')} · "
            f"{count(seeds, 'seed')} · protocol {spec.protocol}"
        ),
        ours=f"Here ({run.shown}): {dataset_title(spec.dataset.name)}, W = {spec.workers}",
        ours_axis="seconds per epoch, mean per worker",
        paper=f"Paper: {paper.dataset}, W = {paper.workers}",
        paper_axis=paper.unit,
        noted=frozenset(paper.notes),
        notes=(
            *_notes(breakdown, paper),
            *settings_notes(one.spec for one in runs),
            *absences([spec.experiment], spec.scale),
        ),
    )


def _notes(breakdown: pd.DataFrame, paper: Reference) -> tuple[str, ...]:
    notes = [
        "In a bar: shares of the epoch. Under it: its four components, in the legend's order. "
        "At its end: their sum."
    ]
    if int(breakdown["seeds"].max()) > 1:
        notes.append("Whiskers: smallest and largest sum over the seeds.")
    titles = breakdown.drop_duplicates("paper_row").set_index("paper_row")["title"]
    for row, note in paper.notes.items():
        shown = f" Shown beside {titles[row]}." if titles.get(row, row) != row else ""
        notes.append(f"{panels.NOTE_MARK} {note}{shown}")
    if breakdown["paper_imputed"].any():
        notes.append(IMPUTED_NOTE)
    if paper.remark:
        notes.append(paper.remark)
    return tuple(notes)
