"""Fig 9A's numbers: every configuration's measures by epoch, and which configuration is best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.analysis import measures, tidy
from experiments.analysis.labels import PAPER_DATASETS, ApproachLabel
from experiments.analysis.reference import Reference, paper_order, paper_rows
from experiments.analysis.runs import Run, by_experiment
from experiments.errors import DataError, SpecError

COLUMNS = (
    *("source", "experiment", "dataset", "stands_for", "classes", "workers", "evidence"),
    "protocol",
    *("approach", "title", "paper_row", "run", "seed", "model", "config", "epoch", "rows"),
    *tidy.MEASURES,
    *("measure", "value", "diverged", "best"),
)


def table(
    runs: Sequence[Run], labels: Mapping[str, ApproachLabel], paper: Reference
) -> pd.DataFrame:
    """Validation measures of one or more experiments by epoch, then the paper's.

    The best configuration of an approach is the one with the lowest measure at the last epoch, as a
    mean over the seeds. One that diverged in any seed is never the best.

    Parameters
    ----------
    runs : finished runs; those of one experiment differ in approach, policy and seed only.
    labels : approach id to its display name and its row in the paper.
    paper : the paper's curves.

    Returns
    -------
    DataFrame
        One row per configuration, epoch, approach and seed (``source`` is ``here``), and one per
        row of the paper and epoch (``source`` is ``paper``), with :data:`COLUMNS`:

        ``experiment, dataset, stands_for, classes, workers, evidence, protocol`` what was run;
        ``stands_for`` is the paper's data set
        ``approach, title, paper_row`` as in :func:`experiments.analysis.breakdown.table`
        ``run, seed, model, config, epoch, rows`` whose measure it is, on how many rows
        ``loss, top1_error, top5_error, auc`` as evaluated; empty where not recorded or NaN
        ``measure, value`` the one that the figure shows: the lower, the better
        ``diverged`` whether loss or value is NaN or infinite at this epoch
        ``best`` whether it is the approach's best configuration, and so drawn; the paper's curves
        are of its best, chosen in the same way

    Raises
    ------
    SpecError
        The runs cannot stand in one figure, or one is of an approach that has no label.
    DataError
        A journal lacks an evaluation.
    """
    rows: list[dict[str, Any]] = []
    for experiment, group in by_experiment(runs).items():
        ours = [row for run in group for row in _ours(run, labels, paper)]
        chosen = _best_models(ours)
        rows += [{**row, "best": chosen.get(row["approach"]) == row["model"]} for row in ours]
        if PAPER_DATASETS.get(experiment) == paper.dataset:
            rows += _papers(experiment, labels, paper)
    types = dict.fromkeys(("classes", "seed", "model", "rows"), "Int64") | {"best": "bool"}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(types)


def drawn(table: pd.DataFrame, experiment: str, source: str = "here") -> pd.DataFrame:
    """The rows of one experiment that the figure shows: best configurations, or the paper's."""
    return table[(table["experiment"] == experiment) & (table["source"] == source) & table["best"]]


def by_epoch(rows: pd.DataFrame, column: str = "value") -> pd.DataFrame:
    """One curve: ``mean``, ``low`` and ``high`` over the seeds, by epoch.

    NaN where a seed's value is NaN or infinite.
    """
    finite = rows[column].astype(float).replace([math.inf, -math.inf], math.nan)
    seeds = finite.groupby(rows["epoch"])
    whole = seeds.count() == seeds.size()
    stats = {"mean": seeds.mean(), "low": seeds.min(), "high": seeds.max()}
    return pd.DataFrame(stats).where(whole)


def _ours(run: Run, labels: Mapping[str, ApproachLabel], paper: Reference) -> list[dict[str, Any]]:
    spec = run.spec
    label = labels.get(spec.approach)
    if label is None:
        raise SpecError(f"{run.name}: approach {spec.approach!r} has no label")
    measure = measures.of(run.classes).column
    evaluations = tidy.evaluations(run)
    found = evaluations[evaluations["split"] == "valid"].to_dict("records")
    expected = {(e, m) for e in range(1, spec.epochs + 1) for m in range(len(spec.configs))}
    missing = sorted(expected - {(row["epoch"], row["model"]) for row in found})
    if missing:
        raise DataError(
            f"{run.folder}: the journal lacks the evaluation of model {missing[0][1]} "
            f"in epoch {missing[0][0]}"
        )
    about = {
        "source": "here",
        "experiment": spec.experiment,
        "dataset": spec.dataset.name,
        "stands_for": PAPER_DATASETS.get(spec.experiment),
        "classes": run.classes,
        "evidence": run.evidence,
        "protocol": str(spec.protocol),
        "title": label.title,
        "paper_row": paper_rows(labels, paper).get(spec.approach),
        "measure": measure,
    }
    return [
        {
            **row,
            **about,
            "value": row[measure],
            "diverged": not (math.isfinite(row["loss"]) and math.isfinite(row[measure])),
        }
        for row in found
    ]


def _best_models(ours: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    last = max(row["epoch"] for row in ours)
    values: dict[tuple[str, int], list[float]] = {}
    for row in ours:
        if row["epoch"] == last:
            value = math.inf if row["diverged"] else row["value"]
            values.setdefault((row["approach"], row["model"]), []).append(value)
    chosen: dict[str, int] = {}
    lowest: dict[str, float] = {}
    for (approach, model), of_seeds in values.items():
        mean = sum(of_seeds) / len(of_seeds)
        if mean < lowest.get(approach, math.inf):
            chosen[approach], lowest[approach] = model, mean
    return chosen


def _papers(
    experiment: str, labels: Mapping[str, ApproachLabel], paper: Reference
) -> list[dict[str, Any]]:
    """Each row of the paper once, as that of the first approach that is compared with it."""
    first: dict[str, tuple[str | None, str]] = {}
    for approach, title, row in paper_order(labels, paper):
        if row is not None:
            first.setdefault(row, (approach, title))
    return [
        {
            "source": "paper",
            "experiment": experiment,
            "dataset": paper.dataset,
            "workers": paper.workers,
            "evidence": "reference",
            "approach": approach,
            "title": title,
            "paper_row": row,
            "epoch": int(epoch),
            "top5_error": value,
            "measure": "top5_error",
            "value": value,
            "diverged": False,
            "best": True,
        }
        for row, (approach, title) in first.items()
        for epoch, value in zip(paper.columns, paper.rows[row], strict=True)
    ]
