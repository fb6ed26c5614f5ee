"""Figures 9B and 9C and Tables 6 and 7, made anew from the authors' own logs."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import page, panels, sheet
from experiments.analysis.output import RC
from experiments.analysis.panels import Bar
from experiments.analysis.reference import Reference
from experiments.analysis.release.client import ERROR
from experiments.analysis.release.curve_figures import FROM, Drawn
from experiments.analysis.release.tables import HOUR
from experiments.analysis.sheet import Cell, Column
from experiments.specs.release_logs import COMPONENTS, ReleaseLogs

_NOTHING = "–"
_NETWORK = "network_TB"
_USED: Mapping[str, tuple[str, str]] = {
    "gpu_util_pct": ("GPU\n%", "gpu_util_pct"),
    "gpu_ram_pct": ("GPU\nRAM %", "gpu_ram_pct"),
    "cpu_pct": ("CPU\n%", "cpu_pct"),
    "dram_pct": ("DRAM\n%", "dram_pct"),
    _NETWORK: ("network\nTB", _NETWORK),
    "disk_read_GB_per_worker": ("disk read\nGB", "disk_read_GB_per_worker"),
    "disk_write_GB_per_worker": ("disk write\nGB", "disk_write_GB_per_worker"),
}
"""Measures of ``used.csv``: the heading, and the paper's column."""


def breakdown(
    figure_id: str,
    parts: pd.DataFrame,
    spec: ReleaseLogs,
    references: Mapping[str, Reference],
) -> Drawn | None:
    """Figure 9B or 9C: what the logs tell of an epoch's parts, none of it imputed."""
    paper = references[figure_id]
    (experiment, *_) = [each for each in spec.experiments if figure_id in each.figures]
    of = parts[(parts["experiment"] == experiment.id) & parts["component"].isin(COMPONENTS)]
    if of.empty:
        return None
    names = list(dict.fromkeys(of["approach"]))
    values = of.pivot_table(index="approach", columns="component", values="epoch_h")
    values = values.reindex(columns=list(COMPONENTS))
    notes = page.wrap(_breakdown_notes(spec, figure_id))
    foot = panels.AXIS + page.NOTE * (len(notes) + 1)
    height = panels.HEAD + panels.ROW * len(names) + foot
    with mpl.rc_context(RC):
        figure = Figure(figsize=(page.WIDTH, height))
        left, right = panels.sides(figure, foot, len(names))
        rows = [spec.approaches[name].row for name in names]
        ours = [_bar([values.loc[name, each] for each in COMPONENTS], "") for name in names]
        theirs = [
            _bar(list(paper.rows[row]), panels.IMPUTED_MARK, paper.imputed.get(row, frozenset()))
            if row in paper.rows
            else None
            for row in rows
        ]
        axis = "hours per epoch, mean per worker"
        logged = "From the logs: nothing imputed"
        panels.panel(left, ours, panels.STYLES, logged, axis, _NOTHING)
        panels.panel(
            right, theirs, panels.STYLES, "As the paper drew it", axis, "not in the paper's figure"
        )
        titles = [spec.approaches[name].title for name in names]
        panels.name_rows(left, right, titles)
        where = f"{experiment.dataset}, W = {next(iter(experiment.stamps))}"
        page.write(
            figure,
            f"Figure {figure_id.upper()} · Parts of an epoch, {where} · {FROM}",
            "under each bar its parts · – : no event of the logs tells it",
            notes,
        )
        panels.legend(figure, panels.STYLES, panels.COMPONENT_TITLES)
    return figure, of


def _bar(values: list[float | None], mark: str, marked: frozenset[str] = frozenset()) -> Bar:
    known = [0.0 if value is None or math.isnan(value) else float(value) for value in values]
    words = [
        _NOTHING
        if value is None or math.isnan(value)
        else panels.number(value) + (mark if name in marked else "")
        for name, value in zip(COMPONENTS, values, strict=True)
    ]
    return Bar(tuple(known), " · ".join(words), sum(known), sum(known))


def _breakdown_notes(spec: ReleaseLogs, figure_id: str) -> list[str]:
    number = "9B" if figure_id == "9b" else "9C"
    return [
        "Between two events of a worker lies an interval, which counts to a part as in the "
        "release's notebook; starting and clearing a session count to training. Its clocks have "
        "seconds.",
        "* typed in or copied by the notebook; not used here:",
        *(
            f"– {each['of'].split(': ', 1)[1]}: {each['value']}; here {each['instead']}."
            for each in spec.typed
            if number in each["of"]
        ),
        "MA, UDAF and CTQ also evaluated the training set in every epoch, the others did not.",
    ]


def table_6(
    times: pd.DataFrame,
    used: pd.DataFrame,
    spec: ReleaseLogs,
    references: Mapping[str, Reference],
) -> Drawn | None:
    """Table 6: times and resources of every end-to-end run, without the ETL that is in its time."""
    groups, rows = [], []
    for experiment in spec.experiments:
        of = times[times["experiment"] == experiment.id]
        if "table6" not in experiment.figures or of.empty:
            continue
        paper = references[f"table6-{experiment.dataset.lower()}"]
        cells = []
        for row in of.to_dict("records"):
            mine = _used_of(used, row)
            rows.append({**row, **mine})
            theirs = {name: _papers(paper, row, column) for name, (_, column) in _USED.items()}
            etl = row["etl_s"]
            cells.append(
                [
                    Cell(row["title"]),
                    Cell(_hours(etl)),
                    Cell(_hours(row["exec_s"])),
                    Cell(_number(_papers(paper, row, "exec_h"))),
                    *_pairs(mine, theirs),
                ]
            )
        groups.append(sheet.Group(f"{experiment.title} · W = 8", cells))
    if not groups:
        return None
    figure = sheet.draw(
        f"Table 6 · End-to-end time and resources · {FROM}",
        "hours · in grey: as the paper printed it, from both runs of a data set together",
        _columns(
            [
                ("ETL in it", "logs\nh", False),
                ("time without it", "logs\nh", False),
                ("time without it", "paper\nh", True),
            ]
        ),
        groups,
        [
            "Time: from the start to the end of the driver, without the ETL in it where logs say "
            "when that ended. Percentages: means over workers, of samples in that time.",
            "Network: what master and workers received on the network of the experiment. GPU RAM: "
            "how often its memory was accessed, not how full it was. Disk: per worker, by iostat's "
            "counters.",
            "The paper's row Cerebro-Spark is of Cerebro-Standalone on Criteo, but for its disk.",
            *_typed(spec, "Table 6"),
        ],
    )
    return figure, pd.DataFrame(rows)


def table_7(
    times: pd.DataFrame,
    used: pd.DataFrame,
    curves: pd.DataFrame,
    spec: ReleaseLogs,
    references: Mapping[str, Reference],
) -> Drawn | None:
    """Table 7: time, best error and resources of the searches."""
    paper = references["table7"]
    of = times[times["experiment"] == "search"]
    if of.empty:
        return None
    cells, rows = [], []
    for row in of.to_dict("records"):
        mine = _used_of(used, row)
        last = curves[(curves["run"] == row["run"]) & (curves["split"] == "valid")]
        last = last[last["epoch"] == last["epoch"].max()]
        best = float(last[ERROR].min()) if not last.empty else math.nan
        rows.append({**row, **mine, "best_error": best})
        theirs = {name: _papers(paper, row, column) for name, (_, column) in _USED.items()}
        cells.append(
            [
                Cell(row["title"]),
                Cell(_hours(row["exec_s"])),
                Cell(_number(_papers(paper, row, "total_h"))),
                Cell(_number(best)),
                Cell(_number(_papers(paper, row, "best_error"))),
                *_pairs(mine, theirs),
            ]
        )
    figure = sheet.draw(
        f"Table 7 · Hyperparameter search, ImageNet, W = 8 · {FROM}",
        "hours · in grey: as the paper has it",
        _columns(
            [
                ("time without ETL", "logs\nh", False),
                ("time without ETL", "paper\nh", True),
                ("best error", "logs", False),
                ("best error", "paper", True),
            ]
        ),
        [sheet.Group("The paper: 32 configurations, 10 epochs", cells)],
        [
            *_typed(spec, "Figure 12, Table 7"),
            "Best error: the lowest after the last epoch, top-5.",
        ],
    )
    return figure, pd.DataFrame(rows)


_SYSTEMS = {"standalone": "cerebro-standalone", "spark": "cerebro-spark"}


def _papers(paper: Reference, row: Mapping[Hashable, Any], column: str) -> float | None:
    """A value of the paper's, if its row is of this approach's system; its network in TB."""
    of = paper.systems.get(row["row"])
    if of is not None and of != _SYSTEMS.get(row["approach"]):
        return None
    if column == _NETWORK and column not in paper.columns:
        gigabytes = paper.value(row["row"], "network_GB")
        return None if gigabytes is None else gigabytes / 1000
    return paper.value(row["row"], column)


def _columns(first: list[tuple[str, str, bool]]) -> list[Column]:
    columns = [Column("", "", 1.6)]
    columns += [Column(band, heading, 0.62, paper=grey) for band, heading, grey in first]
    for heading, _ in _USED.values():
        band = heading.replace("\n", " ")
        columns += [Column(band, "logs", 0.55), Column(band, "paper", 0.55, paper=True)]
    return columns


def _pairs(mine: Mapping[str, float], theirs: Mapping[str, float | None]) -> list[Cell]:
    return [
        cell
        for name in _USED
        for cell in (Cell(_number(mine.get(name))), Cell(_number(theirs.get(name))))
    ]


def _used_of(used: pd.DataFrame, row: Mapping[Hashable, Any]) -> dict[str, float]:
    """The measures of a run, by the names of :data:`_USED`."""
    of = used[(used["run"] == row["run"]) & (used["experiment"] == row["experiment"])]
    found = {
        str(name): float(value) for name, value in zip(of["measure"], of["value"], strict=True)
    }
    if "network_GB" in found:
        found[_NETWORK] = found.pop("network_GB") / 1000
    return found


def _typed(spec: ReleaseLogs, what: str) -> list[str]:
    told = [each for each in spec.typed if each["of"].startswith(what)]
    return [
        "Typed into the release's notebook, and not used here: "
        + "; ".join(
            f"{each['of'].removeprefix(what).lstrip(':, ') or 'all'} ({each['value']})"
            for each in told
        )
        + "."
    ]


def _hours(seconds: float | None) -> str:
    return _number(None if seconds is None else seconds / HOUR)


def _number(value: float | None) -> str:
    return _NOTHING if value is None or math.isnan(value) else panels.number(value)
