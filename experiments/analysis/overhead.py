"""What a unit costs beside its training, by approach: moving data and states, and dispatching it.

A unit's spans and its marks in the journal are all that is needed:

=====================  =============================================================================
training               the phase ``train``
data transmission      the phase of that name
model transmission     the phase of that name: loading and dumping the state
dispatch               from the start of the unit, as its scheduler has it, to its end there,
                       without the spans: messages, queues, polling, commits. Of units that are
                       started together the least counts: the others may wait for each other.
=====================  =============================================================================

Waiting for a model or a worker is none of these, and neither is what a unit builds when its process
is new (``init``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import sheet
from experiments.analysis.fig12 import subtitle
from experiments.analysis.labels import ApproachLabel, settings_notes
from experiments.analysis.panels import number
from experiments.analysis.runs import Run, comparable
from experiments.analysis.sheet import Cell, Column
from experiments.errors import DataError, SpecError

_PHASES = ("train", "data_transmission", "model_transmission")
_COLUMNS: Mapping[str, str] = {
    "train": "training",
    "data_transmission": "data\ntransmission",
    "model_transmission": "model\ntransmission",
    "dispatch": "dispatch",
    "overhead": "sum without\ntraining",
}

_Key = tuple[int | None, int | None, int | None]


def table(runs: Sequence[Run], labels: Mapping[str, ApproachLabel]) -> pd.DataFrame:
    """Seconds per unit of training, one row per approach.

    Returns
    -------
    DataFrame
        ``approach, title, seeds``, ``units`` (of training, over all seeds) and, in seconds per
        unit, ``train``, ``data_transmission``, ``model_transmission``, ``dispatch`` and
        ``overhead``, the sum of the last three.

    Raises
    ------
    SpecError
        The runs cannot stand in one table, or one is of an approach that has no label.
    DataError
        A journal has no finished unit of training.
    """
    comparable(runs)
    of: dict[str, list[Run]] = {}
    for run in runs:
        if run.spec.approach not in labels:
            raise SpecError(f"{run.name}: approach {run.spec.approach!r} has no label")
        of.setdefault(run.spec.approach, []).append(run)
    rows: list[dict[str, Any]] = []
    for approach, label in labels.items():
        if approach not in of:
            continue
        units = [unit for run in of[approach] for unit in _units(run)]
        means = {name: sum(u[name] for u in units) / len(units) for name in _PHASES}
        batches = [least for run in of[approach] for least in dispatch(run)]
        means["dispatch"] = sum(batches) / len(batches)
        means["overhead"] = sum(means[name] for name in (*_PHASES[1:], "dispatch"))
        about = {"approach": approach, "title": label.title, "seeds": len(of[approach])}
        rows.append({**about, "units": len(units), **means})
    return pd.DataFrame(rows)


def _units(run: Run) -> list[dict[str, float]]:
    """Seconds by phase of every finished unit of training."""
    found: list[dict[str, float]] = []
    spans: dict[_Key, dict[str, float]] = {}
    for event in run.events:
        key = (event.model, event.partition, event.epoch)
        if event.kind == "unit_started":
            spans[key] = {}
        elif event.kind == "span" and event.phase and key in spans:
            spans[key][event.phase] = spans[key].get(event.phase, 0.0) + event.seconds
        elif event.kind == "unit_finished":
            own = spans.pop(key, {})
            if event.detail["kind"] == "train":
                found.append({phase: own.get(phase, 0.0) for phase in _PHASES})
    if not found:
        raise DataError(f"{run.folder}: the journal has no finished unit of training")
    return found


def dispatch(run: Run) -> list[float]:
    """Seconds: the least dispatch of each group of units of training that started together."""
    groups: dict[int, list[float]] = {}
    going: dict[_Key, tuple[int, int]] = {}
    spans: dict[_Key, float] = {}
    group, starting = 0, False
    for event in run.events:
        key = (event.model, event.partition, event.epoch)
        if event.kind == "unit_started":
            group += not starting
            starting = True
            going[key] = (group, event.mono_ns)
            spans[key] = 0.0
        elif event.kind == "span" and key in spans:
            spans[key] += event.seconds
        elif event.kind == "unit_finished" and key in going:
            starting = False
            of, started = going.pop(key)
            took = float(event.detail.get("seconds", (event.mono_ns - started) / 1e9))
            if event.detail["kind"] == "train":
                groups.setdefault(of, []).append(max(took - spans.pop(key), 0.0))
    return [min(rests) for rests in groups.values()]


def figure(table: pd.DataFrame, runs: Sequence[Run]) -> Figure:
    """Drawn from :func:`table`, in milliseconds."""
    run = comparable(runs)
    columns = [Column("", "", 2.2), Column("", "units", 0.8)]
    columns += [Column("milliseconds per unit", heading, 1.2) for heading in _COLUMNS.values()]
    rows = [
        [
            Cell(row["title"]),
            Cell(f"{row['units']:,}"),
            *(Cell(number(1000 * row[name]), strong=name == "overhead") for name in _COLUMNS),
        ]
        for row in table.to_dict("records")
    ]
    return sheet.draw(
        title=(f"Overhead per unit · {run.shown}, {run.spec.scale} scale, W = {run.spec.workers}"),
        subtitle="units of training in a hyperparameter search · not in the paper",
        columns=columns,
        groups=[sheet.Group(subtitle(run, runs), rows)],
        notes=[
            "Dispatch: from a unit's start to its end, as its scheduler has them (the driver; in "
            "UDAF and MA the procedure in the database), without what its spans cover. Of units "
            "that are started together the least counts, since the others may wait for each other "
            "(UDAF and MA run a unit per segment by one statement).",
            "Waiting for a model or a worker, and building networks, are not part of it.",
            *settings_notes(one.spec for one in runs),
        ],
    )


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """The table as a reader wants it, in milliseconds."""
    words = {
        heading.replace("\n", " ") + " (ms)": [number(1000 * value) for value in table[name]]
        for name, heading in _COLUMNS.items()
    }
    return pd.DataFrame(
        {"units": list(table["units"]), **words}, index=pd.Index(table["title"], name="approach")
    )
