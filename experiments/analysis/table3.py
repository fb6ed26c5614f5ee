"""Table 3: approaches on six axes, measured where something can be, judged elsewhere."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import sheet
from experiments.analysis.comparison import (
    EFFICIENCY,
    HELD,
    JUDGEMENT,
    LINES,
    OWN,
    PACKED,
    PAPER,
    STORAGE,
)
from experiments.analysis.labels import PAPER_DATASETS, absences, stand_in
from experiments.analysis.reference import Reference
from experiments.analysis.runs import Run, by_experiment
from experiments.analysis.sheet import Cell, Column

JUDGED_MARK = "○"
_NOTHING = "–"
_NONE = {_NOTHING, "0.00"}
_JUDGED: Mapping[str, str] = {
    "governance": "governance",
    "difficulty": "difficulty",
    "portability": "portability",
    "anti_patterns": "anti-patterns",
}
_WIDTHS: Mapping[str, tuple[float, float]] = {
    "governance": (0.9, 1.15),
    "difficulty": (0.95, 0.75),
    "portability": (0.95, 0.75),
    "anti_patterns": (0.65, 0.5),
}
_LETTERS = 18


def figure(table: pd.DataFrame, runs: Sequence[Run], references: Mapping[str, Reference]) -> Figure:
    """Drawn from :func:`experiments.analysis.comparison.table`."""
    experiments = by_experiment(runs)
    first = runs[0]
    rows = [_cells(part, list(experiments)) for _, part in table.groupby("approach", sort=False)]
    stands = "; ".join(
        f"{_short(each)}: {stand_in(group[0].spec.dataset.name, PAPER_DATASETS.get(each))}"
        for each, group in experiments.items()
    )
    return sheet.draw(
        title=f"Table 3 · Approaches on six axes · {first.shown}, {first.spec.scale} scale",
        subtitle=f"{JUDGED_MARK} judgement, with its reason in table3.csv · no mark: "
        f"{first.evidence}, lines counted · in grey: the paper's, all judgements but its lines",
        columns=_columns(list(experiments)),
        groups=[sheet.Group(f"{stands} · W = {first.spec.workers}", rows)],
        notes=[
            "Efficiency: time of execution of the fastest approach over this one's, without ETL; "
            "for the same epochs, whatever they teach (Figure 9A).",
            "Storage: original data and the files that the ETL wrote beside the database, times "
            "the original, which is what COPY loads. Below it + packed tables within the database, "
            "and in brackets decoded rows in workers' memory, in the same unit. Systems without a "
            "database read the data set's files as they are here; from a database these would be a "
            "copy, which is the paper's 2×.",
            "Lines: total, below it those that no other approach has (loc). What is outside of the "
            "database can have none of its anti-patterns.",
            references["table3"].remark,
            *(f"{row}: {note}" for row, note in references["table3"].notes.items()),
            *absences(experiments, first.spec.scale),
        ],
    )


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Every judgement with its reason, and the paper's level beside it: a row each."""
    judged = table[table["evidence"] == JUDGEMENT]
    papers = table[table["evidence"] == PAPER].set_index(["approach", "axis"])["words"]
    keys = zip(judged["approach"], judged["axis"], strict=True)
    return pd.DataFrame(
        {
            "approach": judged["title"].to_list(),
            "axis": [_JUDGED[axis] for axis in judged["axis"]],
            "judgement": judged["words"].to_list(),
            "paper's": [papers.get(key, _NOTHING) for key in keys],
            "reason": judged["reason"].to_list(),
        }
    )


def _columns(experiments: Sequence[str]) -> list[Column]:
    columns = [Column("", "", 1.55)]
    for band, heading, ours, paper in (
        (EFFICIENCY, "× fastest", 0.8, 0.72),
        (STORAGE, "× original", 0.92, 0.45),
    ):
        columns += [Column(band, f"{_short(each)}\n{heading}", ours) for each in experiments]
        columns.append(Column(band, "paper", paper, paper=True))
    band = "lines of code"
    columns += [Column(band, "here", 0.6), Column(band, "paper", 0.55, paper=True)]
    for axis, band in _JUDGED.items():
        here, paper = _WIDTHS[axis]
        columns += [Column(band, "here", here), Column(band, "paper", paper, paper=True)]
    return columns


def _cells(part: pd.DataFrame, experiments: Sequence[str]) -> list[Cell]:
    found = {
        (row["axis"], row["evidence"] == PAPER, row["experiment"]): row
        for row in part.to_dict("records")
    }

    def words(axis: str, *, papers: bool) -> Cell:
        row = found.get((axis, papers, ""))
        if row is None:
            return Cell(_NOTHING)
        return Cell(str(row["words"]) if papers else f"{JUDGED_MARK} {row['words']}")

    def number(axis: str, experiment: str) -> str:
        row = found.get((axis, False, experiment))
        return _NOTHING if row is None else f"{row['value']:.2f}"

    name, *rest = textwrap.wrap(str(part["title"].iloc[0]), _LETTERS)
    cells = [Cell(name, " ".join(rest))]
    cells += [Cell(number(EFFICIENCY, each)) for each in experiments]
    cells.append(words(EFFICIENCY, papers=True))
    for each in experiments:
        packed, held = number(PACKED, each), number(HELD, each)
        beside = [f"+{packed}"] if packed not in _NONE else []
        beside += [f"({held})"] if held not in _NONE else []
        cells.append(Cell(number(STORAGE, each), " ".join(beside)))
    cells.append(words(STORAGE, papers=True))
    own, ours, theirs = (
        _count(found.get((axis, papers, "")))
        for axis, papers in ((OWN, False), (LINES, False), (LINES, True))
    )
    cells += [Cell(ours, f"{own} own"), Cell(theirs)]
    for axis in _JUDGED:
        cells += [words(axis, papers=False), words(axis, papers=True)]
    return cells


def _count(row: Mapping[object, object] | None) -> str:
    return _NOTHING if row is None else f"{row['value']:,.0f}"


def _short(experiment: str) -> str:
    """A data set's name in the head of a column."""
    return PAPER_DATASETS.get(experiment, experiment)
