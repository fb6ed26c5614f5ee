"""Table 6: end-to-end time and resources as a picture, and as a table to read."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import end_to_end, panels, resource_columns, sheet
from experiments.analysis.labels import (
    PAPER_DATASETS,
    absences,
    count,
    dataset_title,
    settings_notes,
    stand_in,
)
from experiments.analysis.reference import Reference
from experiments.analysis.runs import Run, by_experiment
from experiments.analysis.sheet import Cell, Column

INTERRUPTED_MARK = "‡"
_NUMBERS = "¹²³⁴⁵⁶⁷⁸⁹"
_NOTHING = "–"
_LETTERS = 22
_RESOURCE = 0.62
"""Inches of a resource's column."""

_TIMES: Mapping[str, str] = {"etl": "ETL", "exec": "execution", "epoch": "one epoch"}
_RELATIVE = "execution, relative"


def figure(table: pd.DataFrame, runs: Sequence[Run], references: Mapping[str, Reference]) -> Figure:
    """Drawn from :func:`experiments.analysis.end_to_end.table`, one group per data set."""
    experiments = by_experiment(runs)
    first = runs[0]
    notes = _Notes()
    groups = [
        sheet.Group(
            _heading(group[0], end_to_end.paper_table(experiment, references)),
            [
                _row(row, end_to_end.paper_table(experiment, references), notes)
                for row in table[table["experiment"] == experiment].to_dict("records")
            ],
        )
        for experiment, group in experiments.items()
    ]
    papers = [end_to_end.paper_table(experiment, references) for experiment in experiments]
    remarks = [paper.remark for paper in papers if paper is not None and paper.remark]
    remarks += absences(experiments, first.spec.scale)
    return sheet.draw(
        title=(
            f"Table 6 · End-to-end time and resources · {first.shown}, {first.spec.scale} scale"
        ),
        subtitle=(
            f"here in seconds · in grey: the paper, in hours · {_seeds(table)} · "
            f"protocol {first.spec.protocol}"
        ),
        columns=_columns(),
        groups=groups,
        notes=[
            *_footnotes(table, notes, dict.fromkeys(remarks)),
            *settings_notes(run.spec for run in runs),
        ],
    )


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """The times as a reader wants them, in words: one row per data set and approach."""
    rows = []
    for row in table.to_dict("records"):
        cells: dict[tuple[str, str], str] = {}
        for name, heading in _TIMES.items():
            cells[heading, "here (s)"] = _ours(row, f"{name}_s", seconds).text
            cells[heading, "paper (h)"] = _number(row[f"paper_{name}_h"], _tenths)
        cells[_RELATIVE, "to"] = row["relative_to"]
        cells[_RELATIVE, "here"] = _number(row["relative"], _ratio)
        cells[_RELATIVE, "paper"] = _number(row["paper_relative"], _ratio)
        rows.append(cells)
    keys = [(dataset_title(row["dataset"]), row["title"]) for row in table.to_dict("records")]
    index = pd.MultiIndex.from_tuples(keys, names=["data set", "approach"])
    wide = pd.DataFrame(rows, index=index)
    wide.columns = pd.MultiIndex.from_tuples(wide.columns)
    return wide


def seconds(value: float) -> str:
    """Seconds with three digits; hundredths are the finest."""
    return "<0.01" if 0 < value < 0.01 else panels.number(value)


def other_names(table: pd.DataFrame) -> list[str]:
    """A note on approaches that stand beside a row of the paper of another name, if any do."""
    beside = table[table["paper_row"].notna() & (table["paper_row"] != table["title"])]
    pairs = beside[["title", "paper_row"]].drop_duplicates().itertuples(index=False)
    if beside.empty:
        return []
    told = ", ".join(f"{title} stands beside its {row}" for title, row in pairs)
    return [f"Under another name in the paper: {told}."]


def _ratio(value: float) -> str:
    return f"{value:.2f}"


def _tenths(value: float) -> str:
    """The paper prints hours and percentages so."""
    return f"{value:.1f}"


def _number(value: float | None, words: Callable[[float], str]) -> str:
    return _NOTHING if value is None or math.isnan(value) else words(value)


def _ours(row: Mapping[Hashable, Any], name: str, words: Callable[[float], str]) -> Cell:
    """One of our values; under it smallest and largest over the seeds, where there are several."""
    if not row["seeds"]:
        return Cell("not run")
    low, high = words(row[f"{name}_low"]), words(row[f"{name}_high"])
    return Cell(words(row[name]), f"{low}–{high}" if row["seeds"] > 1 else "")


def _columns() -> list[Column]:
    columns = [Column("", "", 1.75)]
    for band in _TIMES.values():
        columns += [Column(band, "here\ns", 0.74), Column(band, "paper\nh", 0.5, paper=True)]
    columns += [
        Column("relative", "here\n×", 0.7),
        Column("relative", "paper\n×", 0.55, paper=True),
    ]
    return columns + resource_columns.columns(end_to_end.RESOURCES, _RESOURCE)


def _row(row: Mapping[Hashable, Any], paper: Reference | None, notes: _Notes) -> list[Cell]:
    title, *rest = textwrap.wrap(row["title"], _LETTERS)
    mark = INTERRUPTED_MARK if row["interrupted"] else ""
    cells = [Cell(f"{title}{mark}{notes.mark(paper, row['paper_row'])}", " ".join(rest))]
    for name in _TIMES:
        cells.append(_ours(row, f"{name}_s", seconds))
        cells.append(Cell(_number(row[f"paper_{name}_h"], _tenths)))
    relative = _ours(row, "relative", _ratio)
    cells.append(Cell(relative.text if row["seeds"] else _NOTHING, relative.under, strong=True))
    cells.append(Cell(_number(row["paper_relative"], _ratio), strong=True))
    return cells + resource_columns.cells(row, end_to_end.RESOURCES)


def _heading(run: Run, paper: Reference | None) -> str:
    spec = run.spec
    theirs = f" (paper: {paper.workers})" if paper else ""
    return (
        f"{stand_in(spec.dataset.name, PAPER_DATASETS.get(spec.experiment))} · "
        f"{spec.dataset.train_rows:,} training rows · {count(len(spec.configs), 'model')} · "
        f"{count(spec.epochs, 'epoch')} · W = {spec.workers}{theirs}"
    )


def _seeds(table: pd.DataFrame) -> str:
    most = int(table["seeds"].max())
    if most == 1:
        return "1 seed"
    return f"{most} seeds: mean, and under it smallest and largest"


class _Notes:
    """Footnotes on rows of the paper, numbered as they come; equal ones share a number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, paper: Reference | None, row: str | None) -> str:
        """The number of the note on a row; nothing where it has none."""
        note = paper.notes.get(str(row)) if paper else None
        if paper is None or note is None:
            return ""
        words = f"{paper.dataset}: {note}"
        if words not in self.texts:
            self.texts.append(words)
        return _NUMBERS[self.texts.index(words)]


def _footnotes(table: pd.DataFrame, notes: _Notes, remarks: Iterable[str]) -> list[str]:
    bases = table.drop_duplicates("experiment")
    names = ", ".join(
        f"{dataset_title(dataset)}: {base}"
        for dataset, base in zip(bases["dataset"], bases["relative_to"], strict=True)
    )
    lines = [
        "ETL: what an approach does to bring the prepared files to where it trains. Execution: all "
        "epochs, each from its start to its end, without ETL and without starting workers and "
        "building networks. One epoch: execution by the number of epochs.",
        "Relative: execution time over that of the fastest approach here that the paper has too, "
        f"the same one in both columns ({names}).",
        *resource_columns.notes(table, end_to_end.RESOURCES),
    ]
    lines += other_names(table)
    reading = table[table["read_s"] > 0]
    if len(reading):
        lines.append(
            "Of the ETL, reading page files: "
            + ", ".join(
                f"{row.title} {seconds(row.read_s)} s ({dataset_title(row.dataset)})"
                for row in reading.itertuples(index=False)
            )
            + "."
        )
    lines += remarks
    if table["interrupted"].any():
        lines.append(
            f"{INTERRUPTED_MARK} Interrupted: the time that the run lay dead does not count, but "
            "what it did twice and what it waited for a server does."
        )
    return lines + [f"{_NUMBERS[number]} {text}" for number, text in enumerate(notes.texts)]
