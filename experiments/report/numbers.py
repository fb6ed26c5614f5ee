"""A figure's CSV as a table, and as bars: what it holds, in the order in which it holds it."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import DataError
from experiments.report.words import short

MOST_ROWS = 400
"""Rows of a table on the page; the CSV beside it has all."""

_MOST_BARS = 100
_MOST_SERIES = 10
_PAPER, _OURS = "paper_", "ours_"
_SPREAD = ("low", "high", "seeds")
"""Ends of names of columns that say how sure another one is."""
_REFERENCE = "reference"
_YES_NO = frozenset({"True", "False", ""})
_NOT_SERIES = frozenset({"seed", "workers", "model", "partition", "epoch", "worker", "start_s"})
"""Columns of numbers that name a row and measure nothing."""


@dataclass(frozen=True)
class Cell:
    """A value as shown; ``full`` is the CSV's own words where those are longer."""

    text: str
    full: str = ""
    number: bool = False


@dataclass(frozen=True)
class Bar:
    """A row's value, and the paper's beside it; ``None`` where there is none."""

    label: str
    ours: float | None
    paper: float | None


@dataclass(frozen=True)
class Series:
    """One column of numbers, a bar for each row that has a value."""

    name: str
    bars: tuple[Bar, ...]

    @property
    def most(self) -> float:
        """The largest value: a whole bar."""
        return max(
            value for bar in self.bars for value in (bar.ours, bar.paper) if value is not None
        )


@dataclass(frozen=True)
class Numbers:
    """A figure's values.

    Attributes
    ----------
    paper : for each column, whether it holds the paper's values.
    reference : for each row shown, whether all of it is the paper's.
    left_out : rows that are in the CSV only.
    evidence : kinds of evidence that the rows name, each once.
    """

    columns: tuple[str, ...]
    paper: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]
    reference: tuple[bool, ...]
    left_out: int
    evidence: tuple[str, ...]
    series: tuple[Series, ...]


def read(path: Path) -> Numbers:
    """The table of a figure's CSV.

    Raises
    ------
    DataError
        The file cannot be read or is no table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as text:
            header, *rows = list(csv.reader(text))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: not a figure's values ({error})") from None
    if any(len(row) != len(header) for row in rows):
        raise DataError(f"{path}: a row has not as many values as the heading")
    kinds = header.index("evidence") if "evidence" in header else None
    evidence = [row[kinds] for row in rows if row[kinds]] if kinds is not None else []
    shown = rows[:MOST_ROWS]
    return Numbers(
        columns=tuple(header),
        paper=tuple(name.startswith(_PAPER) for name in header),
        rows=tuple(tuple(map(_cell, row)) for row in shown),
        reference=tuple(kinds is not None and row[kinds] == _REFERENCE for row in shown),
        left_out=len(rows) - len(shown),
        evidence=tuple(dict.fromkeys(each for each in evidence if each != _REFERENCE)),
        series=_series(header, rows),
    )


def _cell(text: str) -> Cell:
    value = _number(text)
    if value is None:
        return Cell(text)
    shown = short(value)
    return Cell(shown, "" if shown.replace(",", "") == text else text, number=True)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _series(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[Series, ...]:
    """Columns of numbers as bars, unless there are too many rows to tell them apart."""
    if not 1 < len(rows) <= _MOST_BARS:
        return ()
    columns = {name: [row[index] for row in rows] for index, name in enumerate(header)}
    labels = _labels(columns, len(rows))
    made = []
    for name, texts in columns.items():
        theirs = columns.get(_PAPER + name.removeprefix(_OURS), [""] * len(rows))
        names_or_spread = name in _NOT_SERIES or name.endswith(_SPREAD)
        if names_or_spread or name.startswith(_PAPER) or not _measures(texts):
            continue
        values = [*map(_number, texts)]
        papers = [*map(_number, theirs)]
        bars = tuple(
            Bar(label, ours, paper)
            for label, ours, paper in zip(labels, values, papers, strict=True)
            if ours is not None or paper is not None
        )
        if len(bars) > 1 and all(min(bar.ours or 0, bar.paper or 0) >= 0 for bar in bars):
            made.append(Series(name, bars))
    return tuple(made[:_MOST_SERIES])


def _measures(texts: Sequence[str]) -> bool:
    """Whether a column holds numbers that are not all the same."""
    said = {text for text in texts if text}
    return len(said) > 1 and not said <= _YES_NO and all(_number(text) is not None for text in said)


def _labels(columns: dict[str, list[str]], rows: int) -> list[str]:
    """What each row is called: its words, and the numbers that name it, where rows differ."""
    naming = []
    for name, texts in columns.items():
        words = any(_number(text) is None for text in texts if text)
        differ = len({*texts}) > 1 and not {*texts} <= _YES_NO
        if differ and (words or name in _NOT_SERIES) and not name.startswith(_PAPER):
            naming.append(name)
    if "title" in naming and "approach" in naming:
        naming.remove("approach")
    if "run" in naming and len(naming) > 1:
        naming.remove("run")
    kept: list[str] = []
    for name in naming:  # until no two rows are called the same
        if len({*zip(*(columns[each] for each in kept), strict=True)}) == rows and kept:
            break
        kept.append(name)
    joined = zip(*(columns[name] for name in kept), strict=True) if kept else ()
    return [" · ".join(filter(None, row)).replace("_", " ") for row in joined] or [
        f"row {number}" for number in range(1, rows + 1)
    ]
