"""The numbers and judgements of Figure 2 and Table 3: approaches on six axes.

Measured where there is something to measure (efficiency, storage, lines of code), judged with a
reason where there is not (governance, difficulty, portability, anti-patterns); rows say which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.analysis import end_to_end, loc, storage
from experiments.analysis.labels import ApproachLabel, count
from experiments.analysis.reference import Reference, paper_rows
from experiments.analysis.runs import Run, by_experiment
from experiments.specs.judgements import Judgements
from experiments.specs.loc import FileLists

JUDGEMENT, PAPER, COUNTED = "judgement", "paper", "measured"
"""Kinds of evidence beside those of runs; lines are counted in this checkout."""

EFFICIENCY, STORAGE, PACKED, HELD = "efficiency", "storage", "packed", "held"
OWN, LINES = "own_lines", "lines"
JUDGED = ("governance", "difficulty", "portability", "anti_patterns")
_COLUMNS = (
    *("approach", "title", "axis", "dataset", "experiment", "value", "low", "high", "words"),
    *("evidence", "reason", "runs"),
)


def table(
    runs: Sequence[Run],
    labels: Mapping[str, ApproachLabel],
    references: Mapping[str, Reference],
    lists: FileLists,
    judgements: Judgements,
) -> pd.DataFrame:
    """Everything, a row for each approach, axis and kind of evidence.

    Approaches are those that were run, in the order of the labels.

    Returns
    -------
    DataFrame
        ``approach, title``
        ``axis`` one of: ``efficiency``, time of execution of the fastest over this one's;
        ``storage``, original data and files that were written beside the database, times the
        original; ``packed`` and ``held``, what packed tables and the memory of workers that tell
        it hold, in the same unit; ``own_lines`` and ``lines`` of code; :data:`JUDGED`, of which
        the value is the level's place from 0
        ``dataset, experiment`` where it was measured; empty for what is of no data set
        ``value, low, high`` mean over the seeds, smallest and largest
        ``words`` of a judgement, the level
        ``evidence`` that of the runs (``measured``, ``emulated``), ``judgement`` or ``paper``
        ``reason`` of a judgement why, of a measured value what of; ``runs`` behind it

    Raises
    ------
    SpecError, DataError
        As :func:`experiments.analysis.end_to_end.table` and :func:`experiments.analysis.loc.table`.
    """
    shown = {run.spec.approach for run in runs}
    of = {approach: label for approach, label in labels.items() if approach in shown}
    rows = [*_efficiency(runs, labels, references), *_storage(runs, of)]
    rows += _lines(labels, references, lists)
    rows += _judged(of, judgements)
    rows += _papers(labels, references["table3"], judgements)
    found = pd.DataFrame(rows, columns=list(_COLUMNS))
    found = found[found["approach"].isin(of)]
    order = {approach: number for number, approach in enumerate(of)}
    return found.sort_values(
        "approach", key=lambda each: each.map(order), kind="stable"
    ).reset_index(drop=True)


def _efficiency(
    runs: Sequence[Run],
    labels: Mapping[str, ApproachLabel],
    references: Mapping[str, Reference],
) -> list[dict[str, Any]]:
    times = end_to_end.table(runs, labels, references)
    times = times[times["seeds"] > 0]
    fastest = times.groupby("experiment")["exec_s"].min()
    return [
        {
            "approach": row["approach"],
            "title": row["title"],
            "axis": EFFICIENCY,
            "dataset": row["dataset"],
            "experiment": row["experiment"],
            "value": fastest[row["experiment"]] / row["exec_s"],
            "low": fastest[row["experiment"]] / row["exec_s_high"],
            "high": fastest[row["experiment"]] / row["exec_s_low"],
            "evidence": row["evidence"],
            "reason": f"{row['exec_s']:.4g} s of training and evaluation, without ETL",
            "runs": row["runs"],
        }
        for row in times.to_dict("records")
    ]


def _storage(runs: Sequence[Run], labels: Mapping[str, ApproachLabel]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for experiment, group in by_experiment(runs).items():
        whole = storage.original(group)
        if whole is None:
            continue
        for approach, label in labels.items():
            repeats = [run for run in group if run.spec.approach == approach]
            if not repeats:
                continue
            found = [storage.stored(run) for run in repeats]
            told = {
                STORAGE: ([1 + each.outside / whole for each in found], "outside"),
                PACKED: ([each.packed / whole for each in found], "packed"),
                HELD: ([each.held / whole for each in found], "held"),
            }
            if not any(each.held for each in found):
                del told[HELD]
            for axis, (values, name) in told.items():
                size = getattr(found[0], name)
                rows.append(
                    {
                        "approach": approach,
                        "title": label.title,
                        "axis": axis,
                        "dataset": repeats[0].spec.dataset.name,
                        "experiment": experiment,
                        "value": sum(values) / len(values),
                        "low": min(values),
                        "high": max(values),
                        "evidence": repeats[0].evidence,
                        "reason": f"{count(size, 'byte')} {name}, {whole:,} of the original",
                        "runs": ";".join(run.name for run in repeats),
                    }
                )
    return rows


def _lines(
    labels: Mapping[str, ApproachLabel], references: Mapping[str, Reference], lists: FileLists
) -> list[dict[str, Any]]:
    counted = loc.table(lists, labels, references["loc"])
    own = counted[counted["group"] == loc.OWN].groupby("approach")["lines"].sum()
    rows: list[dict[str, Any]] = []
    for row in counted.drop_duplicates("approach").to_dict("records"):
        values = {OWN: float(own.get(row["approach"], 0)), LINES: float(row["total"])}
        rows += [
            _row(row["approach"], row["title"], axis, value, COUNTED, "counted in this checkout")
            for axis, value in values.items()
        ]
        if not _nothing(row["paper_lines"]):
            rows.append(
                _row(row["approach"], row["title"], LINES, float(row["paper_lines"]), PAPER, "")
            )
    return rows


def _judged(labels: Mapping[str, ApproachLabel], judgements: Judgements) -> list[dict[str, Any]]:
    return [
        {
            **_row(approach, label.title, axis, place, JUDGEMENT, judgement.reason),
            "words": judgement.level,
        }
        for approach, label in labels.items()
        for axis in JUDGED
        if (judgement := judgements.get(approach, axis)) is not None
        for place in [float(judgements.axes[axis].place(judgement.level))]
    ]


def _papers(
    labels: Mapping[str, ApproachLabel], paper: Reference, judgements: Judgements
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for approach, row in paper_rows(labels, paper).items():
        for axis in paper.columns:
            value = paper.value(row, axis)
            if value is not None:
                known = judgements.axes.get(axis)
                rows.append(
                    {
                        **_row(approach, labels[approach].title, axis, value, PAPER, ""),
                        "words": known.words(value) if known else f"{value:g}×",
                    }
                )
    return rows


def _row(
    approach: str, title: str, axis: str, value: float, evidence: str, reason: str
) -> dict[str, Any]:
    return {
        "approach": approach,
        "title": title,
        "axis": axis,
        "dataset": "",
        "experiment": "",
        "value": value,
        "low": value,
        "high": value,
        "words": "",
        "evidence": evidence,
        "reason": reason,
        "runs": "",
    }


def _nothing(value: float | None) -> bool:
    return value is None or math.isnan(value)
