"""The paper's own values, with their source (``artifacts/reference/paper.json``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.analysis.labels import ApproachLabel
from experiments.errors import DataError
from experiments.paths import Artifacts


@dataclass(frozen=True)
class Reference:
    """One figure or table of the paper.

    Attributes
    ----------
    dataset, workers : what the paper's runs used.
    unit : unit of every value, or that each column has its own.
    units : unit of each column's values.
    source : where the values were taken from.
    columns : names of the values of a row.
    rows : per row of the paper, one value per column; ``None`` where the paper has none.
    imputed : per row, the columns the original release typed in or copied instead of measuring.
    notes : per row, what a reader must know before comparing.
    remark : the same of the whole figure; empty where there is nothing.
    systems : per row, the approach whose system it is where several of ours go by its name.
    """

    figure: str
    title: str
    dataset: str
    workers: int
    unit: str
    units: Mapping[str, str]
    source: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    imputed: Mapping[str, frozenset[str]]
    notes: Mapping[str, str]
    remark: str
    systems: Mapping[str, str]

    def value(self, row: str, column: str) -> float | None:
        """The paper's value, or ``None`` where it has none."""
        values = self.rows.get(row)
        return None if values is None else values[self.columns.index(column)]


def load(path: Path | None = None) -> Mapping[str, Reference]:
    """Every figure and table of the file, by id (``"9b"``).

    Raises
    ------
    DataError
        The file is missing, damaged, or an entry does not hold together.
    """
    path = path or Artifacts().reference
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {figure: _entry(figure, entry) for figure, entry in entries.items()}
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{path}: cannot be used as the paper's values ({error!r})") from None


def paper_order(
    labels: Mapping[str, ApproachLabel], paper: Reference
) -> list[tuple[str | None, str, str | None]]:
    """Approach, display name and paper's row: the labels, then the rows that no label names."""
    mine = paper_rows(labels, paper)
    order: list[tuple[str | None, str, str | None]] = [
        (approach, label.title, mine.get(approach)) for approach, label in labels.items()
    ]
    order += [(None, row, row) for row in paper.rows if row not in mine.values()]
    return order


def paper_rows(labels: Mapping[str, ApproachLabel], paper: Reference) -> dict[str, str]:
    """The paper's row of each approach that has one; no two approaches share a row.

    Of several that go by a row's name, it is the one whose system it is of, or else the first.
    """
    takers: dict[str, str] = {}
    for approach, label in labels.items():
        row = label.paper
        if row is None or row not in paper.rows:
            continue
        if row not in takers or paper.systems.get(row) == approach:
            takers[row] = approach
    return {approach: row for row, approach in takers.items()}


def _entry(figure: str, entry: Mapping[str, Any]) -> Reference:
    columns = tuple(entry["columns"])
    rows = {row: tuple(values) for row, values in entry["rows"].items()}
    imputed = {row: frozenset(names) for row, names in entry["imputed"].items()}
    for row, values in rows.items():
        if len(values) != len(columns):
            raise ValueError(f"{figure}, {row}: {len(values)} values for {len(columns)} columns")
    for row, names in imputed.items():
        if not names <= set(columns):
            raise ValueError(f"{figure}, {row}: unknown columns {sorted(names - set(columns))}")
    units = entry.get("units", dict.fromkeys(columns, entry["unit"]))
    if set(units) != set(columns):
        raise ValueError(f"{figure}: units of {sorted(units)} for columns {sorted(columns)}")
    strangers = (set(imputed) | set(entry["notes"])) - set(rows)
    if strangers:
        raise ValueError(f"{figure}: no such rows {sorted(strangers)}")
    return Reference(
        figure=figure,
        title=entry["title"],
        dataset=entry["dataset"],
        workers=int(entry["workers"]),
        unit=entry["unit"],
        units=dict(units),
        source=entry["source"],
        columns=columns,
        rows=rows,
        imputed=imputed,
        notes=dict(entry["notes"]),
        remark=str(entry.get("remark", "")),
        systems=dict(entry.get("systems", {})),
    )
