"""The resource columns of Tables 6 and 7: ours beside the paper's."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.analysis.panels import size
from experiments.analysis.resource_measures import MEASURED
from experiments.analysis.resources import resources
from experiments.analysis.runs import Run
from experiments.analysis.samples import NOT_RECORDED
from experiments.analysis.sheet import Cell, Column

_BYTES = {"TB": 1e12, "GB": 1e9}
_NOTHING = "–"
_QUANTITIES: Mapping[str, str] = {
    "network_TB": "network_bytes",
    "network_GB": "network_bytes",
    "disk_read_GB_per_worker": "disk_read_bytes",
    "disk_write_GB_per_worker": "disk_write_bytes",
}
"""Ours, where it is not called as the paper's column is."""
_HEADINGS: Mapping[str, tuple[str, str]] = {
    "gpu_util_pct": ("GPU", "%"),
    "gpu_ram_pct": ("GPU RAM", "%"),
    "cpu_pct": ("CPU", "%"),
    "dram_pct": ("DRAM", "%"),
    "network_TB": ("network", "TB"),
    "network_GB": ("network", "GB"),
    "disk_read_GB_per_worker": ("disk read*", "GB"),
    "disk_write_GB_per_worker": ("disk write*", "GB"),
}
"""Band, and unit of the paper's."""

LEGEND = (
    "Resources: of execution, without ETL. CPU and DRAM: what the run's own processes took of all "
    "cores and memory; GPU RAM: as in the paper, how busy the memory's controller was. Network: "
    "what nodes received; where they are processes of one machine, bytes of models and gradients "
    "as components count them. *Per worker."
)


def found(runs: Iterable[Run], columns: Iterable[str]) -> dict[str, Any]:
    """A cell for each of the paper's columns: the mean over runs in its unit, or why there is none.

    Without a run all are empty.
    """
    values = [resources(run) for run in runs]
    cells: dict[str, Any] = {}
    for column in columns:
        own = [value[_QUANTITIES.get(column, column)] for value in values]
        numbers = [value.number for value in own if value.number is not None]
        if own and len(numbers) == len(own):
            cells[column] = sum(numbers) / len(numbers) / _BYTES.get(_HEADINGS[column][1], 1)
        else:
            cells[column] = next((one.state for one in own if one.state != MEASURED), "")
    return cells


def columns(names: Iterable[str], wide: float) -> list[Column]:
    """Two columns for each; ours in per cent, or in bytes with their unit."""
    made = []
    for name in names:
        band, unit = _HEADINGS[name]
        here = "here\n%" if unit == "%" else "here\n"
        scale = 0.75 if unit == "%" else 1.45
        made.append(Column(band, here, wide * scale))
        made.append(Column(band, f"paper\n{unit}", wide * 0.9, paper=True))
    return made


def cells(row: Mapping[Hashable, Any], names: Iterable[str]) -> list[Cell]:
    """Ours and the paper's, for :func:`columns`."""
    made = []
    for name in names:
        value, unit = row[name], _HEADINGS[name][1]
        if isinstance(value, str):
            made.append(Cell(_NOTHING))
        elif unit == "%":
            made.append(Cell(f"{value:.1f}"))
        else:
            made.append(Cell(size(value * _BYTES[unit])))
        theirs = row[f"paper_{name}"]
        if theirs is None or math.isnan(theirs):
            made.append(Cell(_NOTHING))
        else:
            made.append(Cell(f"{theirs:.1f}" if unit == "%" else f"{theirs:g}"))
    return made


def notes(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """What the columns are, and why some of ours are empty."""
    lacking: dict[str, dict[str, dict[str, None]]] = {}
    for row in table[table["seeds"] > 0].to_dict("records"):
        for name in names:
            if isinstance(row[name], str):
                titles = lacking.setdefault(row[name], {})
                bands = titles.setdefault(str(row["title"]), {})
                bands[_HEADINGS[name][0].rstrip("*")] = None
    return [LEGEND, *(_lack(state, titles) for state, titles in sorted(lacking.items()))]


def _lack(state: str, titles: Mapping[str, Iterable[str]]) -> str:
    """One line a reason: what of whom, as short as it is true."""
    if state == NOT_RECORDED:
        return f"Resources {NOT_RECORDED} here: {', '.join(titles)}."
    what = {tuple(columns) for columns in titles.values()}
    if len(what) == 1:
        (same,) = what
        return f"{', '.join(same)}: {state} ({', '.join(titles)})."
    told = "; ".join(f"{title}: {', '.join(columns)}" for title, columns in titles.items())
    return f"{state[0].upper()}{state[1:]} – {told}."
