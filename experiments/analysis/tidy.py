"""Journals as tidy tables: one row per observation, one column per variable.

Every table starts with the columns ``run``, ``approach``, ``workers``, ``seed``. Durations are
summed as whole nanoseconds, so a sum does not depend on the order of its parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.analysis.runs import Run
from experiments.errors import DataError
from experiments.telemetry.journal import Event

COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "train_valid": ("rebuild", "train", "training_pass", "valid"),
    "data_transmission": ("data_transmission",),
    "model_transmission": ("model_transmission",),
    "approach_specific": ("merge", "idle"),
}
"""Phases of each component of Figs 9B and 9C; the paper's protocol has some more, which the paper's
own figure counts as training and validation too (original release, section 4.2)."""

_RUN = ("run", "approach", "workers", "seed")
_KEYS = ("worker", "model", "partition", "epoch")


def spans(run: Run) -> pd.DataFrame:
    """Every span that counts.

    Spans of a unit that was started, did not finish and was started again (the run was interrupted
    there) are left out: only the unit that finished is counted.

    Returns
    -------
    DataFrame
        ``worker, model, partition, epoch`` (nullable integers), ``phase``, ``start_ns``,
        ``end_ns`` (the worker's monotonic clock), ``ns`` (duration), ``seconds``, ``bytes``.
    """
    rows = [
        {
            **_run_columns(run),
            **_keys(event),
            "phase": event.phase,
            "start_ns": event.start_ns,
            "end_ns": event.end_ns,
            "bytes": event.bytes,
        }
        for event in _counted_spans(run)
    ]
    measured = ("start_ns", "end_ns", "bytes")
    table = pd.DataFrame(rows, columns=[*_RUN, *_KEYS, "phase", *measured])
    table = table.astype(dict.fromkeys(_KEYS, "Int64") | dict.fromkeys(measured, "int64"))
    table["ns"] = table["end_ns"] - table["start_ns"]
    table["seconds"] = table["ns"] / 1e9
    if (table["ns"] < 0).any():
        raise DataError(f"{run.folder}: the journal has a span that ends before it starts")
    return table


def _counted_spans(run: Run) -> Iterator[Event]:
    kept: list[Event | None] = []
    open_units: dict[tuple[int | None, ...], list[int]] = {}
    for event in run.events:
        key = (event.worker, event.model, event.partition, event.epoch)
        if event.kind == "unit_started":
            for index in open_units.get(key, ()):
                kept[index] = None
            open_units[key] = []
        elif event.kind == "unit_finished":
            open_units.pop(key, None)
        elif event.kind == "span":
            if key in open_units:
                open_units[key].append(len(kept))
            kept.append(event)
    return (event for event in kept if event is not None)


def components(run: Run) -> pd.DataFrame:
    """Seconds of each component per worker and epoch (Figs 9B and 9C).

    The sum over all workers and epochs, divided by W and by the number of epochs. Only spans of an
    epoch count, so what happens before the first one (``init``, ``etl.*``) does not.

    Returns
    -------
    DataFrame
        One row per component: ``component``, ``seconds``, ``share`` (of the four components).

    Raises
    ------
    DataError
        An epoch of the run's specification left no span, or a span names a worker or an epoch that
        the specification does not have.
    """
    counted = {phase for phases in COMPONENTS.values() for phase in phases}
    table = spans(run)
    table = table[table["epoch"].notna() & table["phase"].isin(counted)]
    _check_coverage(run, table)
    by_phase = {str(phase): int(ns) for phase, ns in table.groupby("phase")["ns"].sum().items()}
    total = sum(by_phase.values())
    rows = []
    for component, phases in COMPONENTS.items():
        ns = sum(by_phase.get(phase, 0) for phase in phases)
        rows.append(
            {
                **_run_columns(run),
                "component": component,
                "seconds": ns / 1e9 / run.spec.workers / run.spec.epochs,
                "share": ns / total if total else float("nan"),
            }
        )
    return pd.DataFrame(rows)


def _check_coverage(run: Run, table: pd.DataFrame) -> None:
    if table["worker"].isna().any():
        raise DataError(f"{run.folder}: the journal has a span of an epoch that names no worker")
    epochs = {int(epoch) for epoch in table["epoch"].unique()}
    expected = set(range(1, run.spec.epochs + 1))
    if epochs != expected:
        raise DataError(
            f"{run.folder}: the journal has spans of epochs {sorted(epochs)}, "
            f"the run's specification has {sorted(expected)}"
        )
    workers = {int(worker) for worker in table["worker"].unique()}
    if not workers <= set(range(run.spec.workers)):
        raise DataError(
            f"{run.folder}: the journal has spans of workers {sorted(workers)}, "
            f"the run's specification has {run.spec.workers}"
        )


def initialization(run: Run) -> float:
    """Seconds per worker spent importing, building and tracing (phase ``init``), all run long."""
    table = spans(run)
    return int(table.loc[table["phase"] == "init", "ns"].sum()) / 1e9 / run.spec.workers


def counters(run: Run) -> pd.DataFrame:
    """Counters of every finished unit (buffer cache hits and the like), one row per counter.

    Returns
    -------
    DataFrame
        ``worker, model, partition, epoch``, ``kind`` (train or valid), ``counter``, ``value``.
    """
    rows = [
        {
            **_run_columns(run),
            **_keys(event),
            "kind": event.detail.get("kind"),
            "counter": name,
            "value": int(value),
        }
        for event in run.events
        if event.kind == "unit_finished"
        for name, value in event.detail.get("counters", {}).items()
    ]
    table = pd.DataFrame(rows, columns=[*_RUN, *_KEYS, "kind", "counter", "value"])
    return table.astype(dict.fromkeys(_KEYS, "Int64") | {"value": "int64"})


def counter_totals(runs: Sequence[Run]) -> pd.DataFrame:
    """Each counter summed over a run's units: one row per run, one column per counter.

    A run that never counted something has 0 there.
    """
    every = pd.concat([counters(run) for run in runs])
    rows = [_run_columns(run) for run in runs]
    totals = every.pivot_table(index="run", columns="counter", values="value", aggfunc="sum")
    return pd.DataFrame(rows, columns=[*_RUN]).join(totals, on="run").fillna(0)


MEASURES = ("loss", "top1_error", "top5_error", "auc")
"""What an evaluation may hold; ``auc`` is of two classes only."""


def evaluations(run: Run) -> pd.DataFrame:
    """Every model's measures at the end of every epoch; the last one where a resume repeated it.

    Returns
    -------
    DataFrame
        ``model``, ``config`` (its key), ``epoch``, ``split``, ``rows`` and one column per measure
        of :data:`MEASURES`: infinite or NaN where it came out so, NaN where it is not recorded.
    """
    last: dict[tuple[int | None, int | None, str], dict[str, Any]] = {}
    configs = run.configs
    for event in run.events:
        if event.kind != "evaluated":
            continue
        if event.model is None or event.model not in configs:
            raise DataError(f"{run.folder}: the journal evaluates model {event.model}, not in spec")
        split = str(event.detail.get("split", ""))
        last[event.model, event.epoch, split] = {
            **_run_columns(run),
            "model": event.model,
            "config": configs[event.model].key,
            "epoch": event.epoch,
            "split": split,
            "rows": event.detail.get("rows"),
            **{name: float(event.detail.get(name, "nan")) for name in MEASURES},
        }
    columns = [*_RUN, "model", "config", "epoch", "split", "rows", *MEASURES]
    table = pd.DataFrame(list(last.values()), columns=columns)
    return table.sort_values(["epoch", "model", "split"], ignore_index=True)


def _run_columns(run: Run) -> dict[str, Any]:
    spec = run.spec
    return {
        "run": run.name,
        "approach": spec.approach,
        "workers": spec.workers,
        "seed": spec.seed,
    }


def _keys(event: Event) -> dict[str, int | None]:
    return {
        "worker": event.worker,
        "model": event.model,
        "partition": event.partition,
        "epoch": event.epoch,
    }
