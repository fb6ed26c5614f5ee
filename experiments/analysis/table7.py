"""Table 7: time and resources of a hyperparameter search, as a picture and as a table to read."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import measures, resource_columns, sheet
from experiments.analysis.fig12 import subtitle
from experiments.analysis.labels import settings_notes, stand_in
from experiments.analysis.reference import Reference
from experiments.analysis.runs import Run, comparable
from experiments.analysis.searches import RESOURCES
from experiments.analysis.sheet import Cell, Column
from experiments.analysis.table6 import INTERRUPTED_MARK, seconds

_NOTHING = "–"
_NUMBERS = "¹²³⁴⁵⁶⁷⁸⁹"
_RESOURCE = 0.62
"""Inches of a resource's column."""


def figure(
    totals: pd.DataFrame, runs: Sequence[Run], references: Mapping[str, Reference]
) -> Figure:
    """Drawn from :func:`experiments.analysis.searches.totals`."""
    run = comparable(runs)
    paper = references["table7"]
    shown = {row: note for row, note in paper.notes.items() if row in set(totals["paper_row"])}
    marks = dict(zip(shown, _NUMBERS, strict=False))
    group = sheet.Group(
        f"{stand_in(run.spec.dataset.name, paper.dataset)} · W = {run.spec.workers} "
        f"(paper: 32 configurations, 10 epochs, W = {paper.workers})",
        [_row(row, marks) for row in totals.to_dict("records")],
    )
    return sheet.draw(
        title=(
            f"Table 7 · Hyperparameter search · {run.shown}, {run.spec.scale} scale, "
            f"W = {run.spec.workers}"
        ),
        subtitle=f"here in seconds · in grey: the paper, in hours · {subtitle(run, runs)}",
        columns=_columns(),
        groups=[group],
        notes=[
            *_notes(totals, run, paper),
            *(f"{marks[row]} {note}" for row, note in shown.items()),
            *settings_notes(one.spec for one in runs),
        ],
    )


def summary(totals: pd.DataFrame) -> pd.DataFrame:
    """Times and best errors as a reader wants them, in words: one row per approach."""
    rows = [
        {
            ("total", "here (s)"): _ours(row, "total_s", seconds).text,
            ("total", "paper (h)"): _number(row["paper_total_h"], _tenths),
            ("best error", "here"): _ours(row, "best_error", _error).text,
            ("best error", "paper (top-5)"): _number(row["paper_best_error"], _error),
            ("the search's own time", "here (%)"): _ours(row, "search_share", _percent).text,
        }
        for row in totals.to_dict("records")
    ]
    wide = pd.DataFrame(rows, index=pd.Index(list(totals["title"]), name="approach"))
    wide.columns = pd.MultiIndex.from_tuples(wide.columns)
    return wide


def _columns() -> list[Column]:
    columns = [Column("", "", 2.4)]
    columns += [Column("total", "here\ns", 0.8), Column("total", "paper\nh", 0.6, paper=True)]
    columns += [
        Column("best error", "here\n" + measures.MARK, 0.8),
        Column("best error", "paper\ntop-5", 0.6, paper=True),
        Column("search", "here\n%", 0.6),
    ]
    return columns + resource_columns.columns(RESOURCES, _RESOURCE)


def _row(row: Mapping[Hashable, Any], marks: Mapping[str, str]) -> list[Cell]:
    interrupted = INTERRUPTED_MARK if row["interrupted"] else ""
    return [
        Cell(f"{row['title']}{interrupted}{marks.get(row['paper_row'], '')}"),
        _ours(row, "total_s", seconds),
        Cell(_number(row["paper_total_h"], _tenths)),
        _ours(row, "best_error", _error),
        Cell(_number(row["paper_best_error"], _error)),
        _ours(row, "search_share", _percent),
        *resource_columns.cells(row, RESOURCES),
    ]


def _notes(totals: pd.DataFrame, run: Run, paper: Reference) -> list[str]:
    notes = [
        "Total: from the start of training to the last evaluation, without ETL and without "
        "starting workers and building networks. Best error: the lowest that a configuration had "
        "after its last epoch. Search: what asking and telling took, its lines in the journal "
        "included, by the total.",
        *resource_columns.notes(totals, RESOURCES),
        paper.remark,
    ]
    other = measures.why_not_top5(run.classes)
    if other is not None:
        notes.append(other)
    if totals["interrupted"].any():
        notes.append(
            f"{INTERRUPTED_MARK} Interrupted: the time that the run lay dead does not count, but "
            "what it did twice and what it waited for a server does."
        )
    return notes


def _ours(row: Mapping[Hashable, Any], name: str, words: Callable[[float], str]) -> Cell:
    if not row["seeds"]:
        return Cell("not run" if name == "total_s" else _NOTHING)
    low, high = words(row[f"{name}_low"]), words(row[f"{name}_high"])
    return Cell(_number(row[name], words), f"{low}–{high}" if row["seeds"] > 1 else "")


def _number(value: float | None, words: Callable[[float], str]) -> str:
    return _NOTHING if value is None or math.isnan(value) else words(value)


def _tenths(value: float) -> str:
    return f"{value:.1f}"


def _error(value: float) -> str:
    return f"{value:.3f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"
