"""Fig 12's and Table 7's numbers: how a search went on, ours beside the paper's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.analysis import durations, measures, resource_columns
from experiments.analysis.labels import ApproachLabel
from experiments.analysis.reference import Reference, paper_order
from experiments.analysis.runs import Run, comparable
from experiments.errors import DataError, SpecError
from experiments.search.journaled import steps
from experiments.telemetry.journal import Event

COLUMNS = (
    *("source", "approach", "title", "paper_row", "run", "seed", "model", "config", "epoch"),
    *("seconds", "measure", "value", "diverged", "best_so_far", "search_seconds", "interrupted"),
)

RESOURCES = (
    *("gpu_util_pct", "gpu_ram_pct", "cpu_pct", "dram_pct", "network_GB"),
    *("disk_read_GB_per_worker", "disk_write_GB_per_worker"),
)


def table(
    runs: Sequence[Run], labels: Mapping[str, ApproachLabel], references: Mapping[str, Reference]
) -> pd.DataFrame:
    """Every configuration's measure by time, of every approach; then the paper's.

    Parameters
    ----------
    runs : finished searches that differ in approach and seed only.

    Returns
    -------
    DataFrame
        One row per evaluation, with :data:`COLUMNS`:

        ``source`` ``here`` or ``paper``
        ``approach, title, paper_row`` as in :func:`experiments.analysis.breakdown.table`
        ``run, seed, model, config, epoch`` whose evaluation it is; ``model`` is the configuration's
        number in the order in which it was asked for (the paper's in the order of its figure)
        ``seconds`` since training began, without what precedes it and without time that the run lay
        dead
        ``measure, value`` what the figure shows: the lower, the better
        ``diverged`` whether it is NaN or infinite
        ``best_so_far`` the lowest value until then, of all configurations
        ``search_seconds`` what the search itself took, in the whole run
        ``interrupted`` whether the run was

    Raises
    ------
    SpecError
        The runs cannot stand in one figure; or the protocol gives all approaches the same sequence
        of configurations, and two runs of a seed have not had it.
    DataError
        A journal is not one of a search.
    """
    _require_one_sequence(runs)
    rows: list[dict[str, Any]] = []
    for approach, title, row in paper_order(labels, references["table7"]):
        for run in runs:
            if run.spec.approach == approach:
                found = {"approach": approach, "title": title, "paper_row": row}
                rows += _best_so_far([{**one, **found} for one in _ours(run)])
        if row is not None:
            found = {"approach": approach, "title": title, "paper_row": row}
            rows += _best_so_far([{**one, **found} for one in _papers(references["12"], row)])
    types = dict.fromkeys(("seed", "model", "epoch"), "Int64")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(types)


def elapsed(events: Iterable[Event]) -> Iterable[tuple[Event, float]]:
    """Every event with the seconds of training until then.

    Time begins with the first epoch of each start of the run, and stands still from the last event
    of an interrupted start to the first epoch of the next.
    """
    total = last = 0
    going = False
    for event in events:
        if event.kind == "run_started":
            going = False
        elif going:
            total += event.mono_ns - last
        elif event.kind == "epoch_started":
            going = True
        last = event.mono_ns
        yield event, total / 1e9


def _ours(run: Run) -> list[dict[str, Any]]:
    configs = run.configs
    measure = measures.of(run.classes).column
    spent = sum(
        float(event.detail["seconds"]) for event in run.events if event.kind in {"asked", "told"}
    )
    rows = []
    for event, seconds in elapsed(run.events):
        if event.kind != "evaluated" or event.detail["split"] != "valid":
            continue
        if event.model is None or event.model not in configs:
            raise DataError(f"{run.folder}: the journal evaluates model {event.model}, not asked")
        value = float(event.detail.get(measure, math.nan))
        loss = float(event.detail["loss"])
        rows.append(
            {
                "source": "here",
                "run": run.name,
                "seed": run.spec.seed,
                "model": event.model,
                "config": configs[event.model].key,
                "epoch": event.epoch,
                "seconds": seconds,
                "measure": measure,
                "value": value,
                "diverged": not (math.isfinite(loss) and math.isfinite(value)),
                "search_seconds": spent,
                "interrupted": durations.interrupted(run),
            }
        )
    if not rows:
        raise DataError(f"{run.folder}: the journal evaluates nothing")
    return rows


def _papers(curves: Reference, row: str) -> list[dict[str, Any]]:
    """The paper's curves of one approach, which the reference has as ``<row> <number>``."""
    epochs = len(curves.columns) // 2
    found = [name for name in curves.rows if name.rpartition(" ")[0] == row]
    return [
        {
            "source": "paper",
            "model": number,
            "epoch": epoch,
            "seconds": 3600 * float(curves.value(name, f"h{epoch}") or 0),
            "measure": "top5_error",
            "value": curves.value(name, f"e{epoch}"),
            "diverged": False,
        }
        for number, name in enumerate(found)
        for epoch in range(1, epochs + 1)
    ]


def _best_so_far(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    best = math.inf
    for row in sorted(rows, key=lambda row: (row["seconds"], row["model"])):
        if not row["diverged"]:
            best = min(best, row["value"])
        row["best_so_far"] = best if math.isfinite(best) else math.nan
    return rows


def _require_one_sequence(runs: Sequence[Run]) -> None:
    first = comparable(runs)
    if first.spec.search is None:
        raise SpecError(f"{first.name}: trains a fixed grid and is no search")
    if first.spec.protocol.search_feedback == "own":
        return
    sequences: dict[int, tuple[str, list[object]]] = {}
    for run in runs:
        ours: list[object] = [step.assignment for step in steps(run.events)]
        name, theirs = sequences.setdefault(run.spec.seed, (run.name, ours))
        if ours != theirs:
            raise SpecError(
                f"{name} and {run.name} were given different configurations although their "
                "protocol shares them: run them again with --fresh"
            )


def totals(
    table: pd.DataFrame,
    labels: Mapping[str, ApproachLabel],
    references: Mapping[str, Reference],
    runs: Sequence[Run],
) -> pd.DataFrame:
    """Table 7: one row per approach that was run, or that the paper has.

    Returns
    -------
    DataFrame
        ``approach, title, paper_row, seeds, interrupted``
        ``total_s`` seconds from the start of training to the last evaluation, mean over the seeds;
        ``total_s_low, total_s_high``
        ``best_error`` lowest measure of a configuration's last epoch, mean over the seeds, with
        ``_low`` and ``_high``
        ``search_share`` seconds of the search itself by ``total_s``, with ``_low`` and ``_high``
        ``gpu_util_pct`` and the other :data:`RESOURCES`: ours, means over the seeds, or why there
        is none (:mod:`.resources`)
        ``paper_<column>`` the paper's columns
    """
    paper = references["table7"]
    rows: list[dict[str, Any]] = []
    ours = table[table["source"] == "here"]
    for approach, title, row in paper_order(labels, paper):
        of = ours[ours["approach"] == approach]
        if of.empty and row is None:
            continue
        found = [_total(part) for _, part in of.groupby("run", sort=False)]
        about: dict[str, Any] = {
            "approach": approach,
            "title": title,
            "paper_row": row,
            "seeds": len(found),
            "interrupted": bool(of["interrupted"].any()),
        }
        for name in ("total_s", "best_error", "search_share"):
            values = [one[name] for one in found]
            about[name] = sum(values) / len(values) if values else math.nan
            about[f"{name}_low"] = min(values, default=math.nan)
            about[f"{name}_high"] = max(values, default=math.nan)
        own = [run for run in runs if run.spec.approach == approach]
        about |= resource_columns.found(own, RESOURCES)
        rows.append(
            about | {f"paper_{name}": paper.value(row or "", name) for name in paper.columns}
        )
    return pd.DataFrame(rows)


def _total(part: pd.DataFrame) -> dict[str, float]:
    total = float(part["seconds"].max())
    last = part[~part["diverged"]].sort_values("epoch").groupby("model")["value"].last()
    return {
        "total_s": total,
        "best_error": float(last.min()) if len(last) else math.nan,
        "search_share": float(part["search_seconds"].iloc[0]) / total if total else math.nan,
    }
