"""Table 6's numbers: how long each approach took, ours beside the paper's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.analysis import durations, resource_columns
from experiments.analysis.labels import PAPER_DATASETS, ApproachLabel
from experiments.analysis.reference import Reference, paper_order
from experiments.analysis.runs import Run, by_experiment
from experiments.errors import SpecError

TIMES: Mapping[str, Callable[[Run], float]] = {
    "etl": durations.etl,
    "exec": durations.execution,
    "epoch": lambda run: durations.execution(run) / run.spec.epochs,
}
"""Ours, in seconds, by the name that the paper's column has before ``_h``."""

RESOURCES = (
    *("gpu_util_pct", "gpu_ram_pct", "cpu_pct", "dram_pct", "network_TB"),
    *("disk_read_GB_per_worker", "disk_write_GB_per_worker"),
)


def paper_table(experiment: str, references: Mapping[str, Reference]) -> Reference | None:
    """The paper's Table 6 of an experiment's data set, if the paper has it."""
    dataset = PAPER_DATASETS.get(experiment)
    return None if dataset is None else references[f"table6-{dataset.lower()}"]


def table(
    runs: Sequence[Run],
    labels: Mapping[str, ApproachLabel],
    references: Mapping[str, Reference],
) -> pd.DataFrame:
    """Times of one or more experiments beside the paper's times and resources.

    Rows come as in :func:`experiments.analysis.breakdown.table`.

    Returns
    -------
    DataFrame
        One row per experiment and approach:

        ``experiment, dataset, stands_for, evidence`` what was run
        ``approach, title, paper_row, seeds, runs`` as in the breakdown
        ``interrupted`` whether a run of it was: its times hold work that was done twice
        ``etl_s, exec_s, epoch_s`` seconds (:mod:`.durations`), means over the seeds; each with
        ``_low`` and ``_high``, the smallest and largest over the seeds
        ``read_s`` and so on: how much of ``etl_s`` workers read page files
        ``relative_to`` the approach that both sides are measured by: the fastest of ours that the
        paper has too, or the fastest of ours
        ``relative, relative_low, relative_high`` execution time over that approach's with the same
        seed: mean, smallest and largest
        ``gpu_util_pct`` and the other :data:`RESOURCES`: ours, means over the seeds, or why there
        is none (:mod:`.resources`)
        ``paper_etl_h`` and so on: the paper's columns; ``paper_relative`` its execution time over
        that of ``relative_to``

    Raises
    ------
    SpecError
        The runs cannot stand in one table, or one is of an approach that has no label.
    DataError
        A journal lacks the ETL or an epoch.
    """
    rows: list[dict[str, Any]] = []
    for experiment, group in by_experiment(runs).items():
        rows += _experiment(experiment, group, labels, paper_table(experiment, references))
    return pd.DataFrame(rows)


def _experiment(
    experiment: str,
    runs: Sequence[Run],
    labels: Mapping[str, ApproachLabel],
    paper: Reference | None,
) -> list[dict[str, Any]]:
    of_approach: dict[str, dict[int, Run]] = {}
    for run in runs:
        if run.spec.approach not in labels:
            raise SpecError(f"{run.name}: approach {run.spec.approach!r} has no label")
        of_approach.setdefault(run.spec.approach, {})[run.spec.seed] = run
    order = [
        (approach, title, row)
        for approach, title, row in _order(labels, paper)
        if approach in of_approach or row is not None
    ]
    seconds = {
        approach: {seed: durations.execution(run) for seed, run in repeats.items()}
        for approach, repeats in of_approach.items()
    }
    base, base_row = _base(seconds, order)
    return [
        {
            "experiment": experiment,
            "dataset": runs[0].spec.dataset.name,
            "stands_for": PAPER_DATASETS.get(experiment),
            "evidence": runs[0].evidence if approach in of_approach else None,
            "approach": approach,
            "title": title,
            "paper_row": row,
            "relative_to": labels[base].title,
            **_ours(of_approach.get(approach or "", {}), seconds[base]),
            **_papers(paper, row, base_row),
        }
        for approach, title, row in order
    ]


def _order(
    labels: Mapping[str, ApproachLabel], paper: Reference | None
) -> list[tuple[str | None, str, str | None]]:
    if paper is None:
        return [(approach, label.title, None) for approach, label in labels.items()]
    return paper_order(labels, paper)


def _base(
    seconds: Mapping[str, Mapping[int, float]],
    order: Sequence[tuple[str | None, str, str | None]],
) -> tuple[str, str | None]:
    """The approach that both sides are measured by, and its row in the paper."""
    rows = {approach: row for approach, _, row in order if approach in seconds}
    both = {approach: row for approach, row in rows.items() if row is not None} or rows
    fastest = min((a for a in both if a), key=lambda a: _mean(list(seconds[a].values())))
    return fastest, both[fastest]


def _ours(repeats: Mapping[int, Run], base: Mapping[int, float]) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "seeds": len(repeats),
        "runs": ";".join(run.name for run in repeats.values()),
        "interrupted": any(durations.interrupted(run) for run in repeats.values()),
    }
    for name, measure in {**TIMES, "read": durations.reading}.items():
        cells |= _spread(f"{name}_s", [measure(run) for run in repeats.values()])
    shared = [seed for seed in repeats if seed in base]
    cells |= _spread("relative", [durations.execution(repeats[s]) / base[s] for s in shared])
    return cells | resource_columns.found(repeats.values(), RESOURCES)


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    return {
        name: _mean(values),
        f"{name}_low": min(values, default=math.nan),
        f"{name}_high": max(values, default=math.nan),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _papers(paper: Reference | None, row: str | None, base: str | None) -> dict[str, Any]:
    columns = [*(f"{name}_h" for name in TIMES), *RESOURCES]
    values: dict[str, float | None] = dict.fromkeys(columns)
    relative = None
    if paper is not None and row is not None:
        values = {column: paper.value(row, column) for column in columns}
        mine, theirs = paper.value(row, "exec_h"), paper.value(base or "", "exec_h")
        relative = mine / theirs if mine is not None and theirs else None
    return {f"paper_{column}": value for column, value in values.items()} | {
        "paper_relative": relative
    }
