"""Table 6's ETL column taken apart: what bringing the data to where they train took, by phase."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.analysis import durations, panels
from experiments.analysis.durations import ETL_PHASES, Part
from experiments.analysis.end_to_end import paper_table
from experiments.analysis.labels import PAPER_DATASETS, ApproachLabel, dataset_title
from experiments.analysis.reference import Reference, paper_order
from experiments.analysis.runs import Run, by_experiment
from experiments.analysis.table6 import seconds
from experiments.errors import SpecError

REST = "rest"
TOTAL = "total"
READ_H = "read_h"
"""The column of the paper's values that has what Direct Access reads; see :func:`paper_reading`."""

ROWS = (*ETL_PHASES, REST, TOTAL)
NOTHING = "–"
NOT_RUN = "not run"
NOT_RECORDED = "not recorded"


def paper_reading(experiment: str, references: Mapping[str, Reference]) -> Reference | None:
    """What is known of the phases of the paper's ETL: how long Direct Access read."""
    dataset = PAPER_DATASETS.get(experiment)
    return None if dataset is None else references.get(f"etl-{dataset.lower()}")


def table(
    runs: Sequence[Run],
    labels: Mapping[str, ApproachLabel],
    references: Mapping[str, Reference],
) -> pd.DataFrame:
    """The ETL of every run by phase, beside the paper's hours.

    Approaches come as in :func:`experiments.analysis.end_to_end.table`.

    Returns
    -------
    DataFrame
        Per experiment and approach one row for each phase, for ``rest`` (connecting, telling the
        coordinator, starting Spark, loading the page reader) and for ``total``, Table 6's own ETL
        column:

        ``experiment, dataset, stands_for, evidence`` what was run
        ``approach, title, paper_row, seeds, runs`` as in the breakdown
        ``interrupted`` whether a run of it was
        ``phase, seconds, seconds_low, seconds_high`` means, smallest and largest over the seeds;
        nothing where the approach has no such phase
        ``bytes`` that the phase moved, mean over the seeds; 0 where that was not recorded
        ``paper_h`` the paper's hours: of ``total``, and of ``read`` where that is known

    Raises
    ------
    SpecError
        The runs cannot stand in one table, or one is of an approach that has no label.
    DataError
        A journal lacks the ETL.
    """
    rows: list[dict[str, Any]] = []
    for experiment, group in by_experiment(runs).items():
        paper, reading = paper_table(experiment, references), paper_reading(experiment, references)
        of_approach: dict[str, list[Run]] = {}
        for run in group:
            if run.spec.approach not in labels:
                raise SpecError(f"{run.name}: approach {run.spec.approach!r} has no label")
            of_approach.setdefault(run.spec.approach, []).append(run)
        for approach, title, row in _order(labels, paper):
            repeats = of_approach.get(approach or "", [])
            if not repeats and row is None:
                continue
            common = {
                "experiment": experiment,
                "dataset": group[0].spec.dataset.name,
                "stands_for": PAPER_DATASETS.get(experiment),
                "evidence": group[0].evidence if repeats else None,
                "approach": approach,
                "title": title,
                "paper_row": row,
                "seeds": len(repeats),
                "runs": ";".join(run.name for run in repeats),
                "interrupted": any(durations.interrupted(run) for run in repeats),
            }
            theirs = {
                TOTAL: paper.value(row, "etl_h") if paper and row else None,
                "read": reading.value(row, READ_H) if reading and row else None,
            }
            rows += [
                {**common, "phase": phase, **ours, "paper_h": theirs.get(phase)}
                for phase, ours in _phases(repeats).items()
            ]
    return pd.DataFrame(rows)


def _order(
    labels: Mapping[str, ApproachLabel], paper: Reference | None
) -> list[tuple[str | None, str, str | None]]:
    if paper is None:
        return [(approach, label.title, None) for approach, label in labels.items()]
    return paper_order(labels, paper)


def _phases(repeats: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Every phase over the seeds, the rest and the total."""
    found: dict[str, list[Part]] = {phase: [] for phase in ROWS}
    for run in repeats:
        parts, total = durations.etl_parts(run), durations.etl(run)
        parts[REST] = Part(total - sum(part.seconds for part in parts.values()), 0)
        parts[TOTAL] = Part(total, 0)
        for phase, part in parts.items():
            found[phase].append(part)
    return {phase: _spread(parts) for phase, parts in found.items()}


def _spread(parts: Sequence[Part]) -> dict[str, float]:
    seconds = [part.seconds for part in parts]
    if not parts:
        return dict.fromkeys(("seconds", "seconds_low", "seconds_high", "bytes"), math.nan)
    return {
        "seconds": sum(seconds) / len(parts),
        "seconds_low": min(seconds),
        "seconds_high": max(seconds),
        "bytes": sum(part.bytes for part in parts) / len(parts),
    }


def summary(phases: pd.DataFrame) -> pd.DataFrame:
    """The table as a reader wants it, in words: one row per data set and approach."""
    rows: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for row in phases.to_dict("records"):
        cells = rows.setdefault((dataset_title(row["dataset"]), row["title"]), {})
        phase = str(row["phase"])
        absent = NOTHING if row["seeds"] else NOT_RUN
        cells["seconds", phase] = absent if math.isnan(row["seconds"]) else seconds(row["seconds"])
        if phase in ETL_PHASES:
            cells["bytes", phase] = absent if math.isnan(row["bytes"]) else size(row["bytes"])
        else:
            cells["paper (h)", TOTAL] = _hours(row["paper_h"])
        if phase == "read":
            cells["paper (h)", phase] = _hours(row["paper_h"])
    wide = pd.DataFrame(
        list(rows.values()),
        index=pd.MultiIndex.from_tuples(list(rows), names=["data set", "approach"]),
        columns=[
            *(("seconds", phase) for phase in ROWS),
            *(("bytes", phase) for phase in ETL_PHASES),
            *(("paper (h)", phase) for phase in ("read", TOTAL)),
        ],
    )
    wide.columns = pd.MultiIndex.from_tuples(wide.columns)
    return wide


def size(value: float) -> str:
    """Bytes with three digits; 0 stands for none recorded."""
    return panels.size(value) if value else NOT_RECORDED


def _hours(value: float | None) -> str:
    return NOTHING if value is None or math.isnan(value) else f"{value:.1f}"
