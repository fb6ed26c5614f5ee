"""Fig 15: what a larger model costs, through tables (UDAF) and through the model store (CTQ)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import plots, tidy
from experiments.analysis.labels import ApproachLabel, count, emulation_notes, stand_in
from experiments.analysis.reference import Reference, paper_rows
from experiments.analysis.runs import Run, comparable
from experiments.errors import DataError

_MEASURES: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "train_valid": ("train + valid", tidy.COMPONENTS["train_valid"], "15a"),
    "model_transmission": ("model transmission", ("model_transmission",), "15b"),
}
_MARKERS = "os^DvPX*"
_MB = 1e6


def table(
    runs: Sequence[Run],
    labels: Mapping[str, ApproachLabel],
    papers: Mapping[str, Reference],
) -> pd.DataFrame:
    """Machine time of an epoch by size of the models' states, ours and the paper's.

    Parameters
    ----------
    papers : the paper's figures by id, ``15a`` and ``15b``.

    Returns
    -------
    DataFrame
        ``evidence``, ``approach``, ``title``, ``architecture``, ``models``, ``state_mb`` (of one
        state as it was moved: weights and moments, 10^6 bytes), ``seeds``, ``unit`` and, for all
        models of that architecture together, mean per epoch and worker over the seeds,
        ``train_valid`` and ``model_transmission``; ``hop`` is seconds of the latter per unit.

    Raises
    ------
    DataError
        No state of an architecture was moved.
    """
    comparable(runs)
    rows: list[dict[str, Any]] = []
    for approach in labels:
        own = [run for run in runs if run.spec.approach == approach]
        if own:
            rows += _ours(own, labels[approach].title)
    return pd.DataFrame([*rows, *_papers(labels, papers)])


def _ours(runs: Sequence[Run], title: str) -> list[dict[str, Any]]:
    by_size: dict[str, list[dict[str, float]]] = {}
    for run in runs:
        spans = tidy.spans(run)
        spans = spans[spans["epoch"].notna() & spans["model"].notna()]
        architecture = spans["model"].map({n: c.architecture for n, c in run.configs.items()})
        for name, part in spans.groupby(architecture, sort=False):
            by_size.setdefault(str(name), []).append(_of_size(run, part))
    rows = []
    for name, repeats in by_size.items():
        means = pd.DataFrame(repeats).mean().to_dict()
        configs = [config for config in runs[0].configs.values() if config.architecture == name]
        rows.append(
            {
                "evidence": runs[0].evidence,
                "approach": runs[0].spec.approach,
                "title": title,
                "architecture": name,
                "models": len(configs),
                "seeds": len(repeats),
                "unit": "s",
                **means,
            }
        )
    return sorted(rows, key=lambda row: float(row["state_mb"]))


def _of_size(run: Run, part: pd.DataFrame) -> dict[str, float]:
    moved = part[part["phase"] == "model_transmission"]
    units = part[part["phase"] == "train"].groupby(["worker", "model", "epoch"]).ngroups
    if not moved["bytes"].any() or not units:
        raise DataError(f"{run.folder}: the journal tells of no state that was moved")
    share = run.spec.workers * run.spec.epochs
    return {
        "state_mb": float(moved["bytes"].max()) / _MB,
        "hop": float(moved["seconds"].sum()) / units,
        **{
            name: float(part.loc[part["phase"].isin(phases), "seconds"].sum()) / share
            for name, (_, phases, _) in _MEASURES.items()
        },
    }


def _papers(
    labels: Mapping[str, ApproachLabel], papers: Mapping[str, Reference]
) -> list[dict[str, Any]]:
    takers = paper_rows(labels, papers["15a"])
    return [
        {
            "evidence": "reference",
            "approach": approach,
            "title": row,
            "models": 8,
            "state_mb": float(size),
            "unit": "h",
            **{name: papers[figure].value(row, size) for name, (_, _, figure) in _MEASURES.items()},
        }
        for approach, row in takers.items()
        for size in papers["15a"].columns
    ]


def figure(
    sizes: pd.DataFrame,
    runs: Sequence[Run],
    labels: Mapping[str, ApproachLabel],
    papers: Mapping[str, Reference],
) -> Figure:
    """Drawn from :func:`table`: train and validation, and hopping, here and in the paper."""
    run = comparable(runs)
    spec = run.spec
    looks = {
        name: plots.Look(labels[name].title, labels[name].colour, _MARKERS[place % len(_MARKERS)])
        for place, name in enumerate(labels)
        if (sizes["approach"] == name).any()
    }
    ours = sizes["evidence"] != "reference"
    row = [
        _plot(part, name, f"{letter} · {_MEASURES[name][0]} ({whose})", f"{unit} per epoch")
        for part, whose, unit in (
            (sizes[ours], run.evidence, "seconds"),
            (sizes[~ours], "paper", "hours"),
        )
        for letter, name in zip("AB", _MEASURES, strict=True)
    ]
    architectures = dict.fromkeys(config.architecture for config in run.configs.values())
    each = len(run.configs) // len(architectures)
    return plots.draw(
        f"Fig 15 · Models of three sizes · {run.shown}, {spec.scale} scale, W = {spec.workers}",
        f"{stand_in(spec.dataset.name, 'ImageNet')} · {spec.dataset.train_rows:,} training rows"
        f" · {count(each, 'model')} each of {', '.join(architectures)} · "
        f"{count(spec.epochs, 'epoch')}",
        [row],
        looks,
        [
            "Of all models of a size, mean per worker and epoch; sizes are those of one state as "
            "it was moved, weights and Adam's moments. Here all sizes were trained in one run.",
            *(f"Paper, {name[-1].upper()}: {papers[name].remark}" for name in ("15a", "15b")),
            *emulation_notes(each.spec for each in runs),
        ],
    )


def _plot(part: pd.DataFrame, name: str, title: str, up: str) -> plots.Plot:
    lines = [
        plots.Line(str(approach), list(own["state_mb"]), list(own[name]))
        for approach, own in part.groupby("approach", sort=False)
    ]
    ticks = sorted({round(size, 1 if size < 100 else None) for size in part["state_mb"]})
    return plots.Plot(title, "MB of state", up, lines, ticks)
