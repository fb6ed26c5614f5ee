"""Model hopping for k epochs and model averaging after them: what models learn, over k.

The release's notebook has such a figure (cell 55), which the paper leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import measures, plots, tidy
from experiments.analysis.labels import count, stand_in
from experiments.analysis.reference import Reference
from experiments.analysis.runs import Run, comparable
from experiments.errors import DataError

SETTING = "hop_epochs"
_MARKERS = "os^DvPX*<>d"
_LIGHT, _DARK = (204, 121, 167), (0, 84, 64)
"""Colours, red green and blue, of averaging alone and of hopping alone."""


def table(runs: Sequence[Run], paper: Reference) -> pd.DataFrame:
    """Validation errors by epoch of the configuration that ends best, and the release's last ones.

    Parameters
    ----------
    runs : of MA, that differ in how many epochs they hop first, and in seed.

    Returns
    -------
    DataFrame
        ``evidence``, ``dataset``, ``workers``, ``epochs``, ``hop_epochs``, ``epoch``, ``measure``,
        ``value`` (mean over the seeds), ``low`` and ``high`` (their extremes), ``seeds``,
        ``config``. The release's rows are of the last epoch only.

    Raises
    ------
    SpecError
        The runs cannot stand in one figure.
    DataError
        A journal lacks an evaluation.
    """
    comparable(runs, {"settings"})
    rows: list[dict[str, Any]] = []
    for hops in sorted({_hops(run) for run in runs}):
        rows += _ours([run for run in runs if _hops(run) == hops], hops)
    epochs = len(paper.columns) - 1
    for name in paper.columns:
        value = paper.value("release", name)
        rows.append(
            {
                "evidence": "reference",
                "dataset": paper.dataset,
                "workers": paper.workers,
                "epochs": epochs,
                "hop_epochs": int(name),
                "epoch": epochs,
                "measure": "top5_error",
                **dict.fromkeys(("value", "low", "high"), value),
            }
        )
    return pd.DataFrame(rows)


def _hops(run: Run) -> int:
    return int(run.spec.settings.get(SETTING, 0))


def _ours(repeats: Sequence[Run], hops: int) -> list[dict[str, Any]]:
    run = repeats[0]
    spec, measure = run.spec, measures.of(run.classes)
    every = pd.concat([tidy.evaluations(each) for each in repeats])
    every = every[every["split"] == "valid"]
    if len(every) != len(repeats) * spec.epochs * len(spec.configs):
        raise DataError(f"{run.folder}: the journal lacks an evaluation of a model in an epoch")
    last = every[every["epoch"] == spec.epochs].groupby("model")[measure.column].mean()
    model = int(last.idxmin()) if last.notna().any() else 0
    by_epoch = every[every["model"] == model].groupby("epoch")[measure.column]
    return [
        {
            "evidence": run.evidence,
            "dataset": spec.dataset.name,
            "workers": spec.workers,
            "epochs": spec.epochs,
            "hop_epochs": hops,
            "epoch": epoch,
            "measure": measure.column,
            "value": values.mean(),
            "low": values.min(),
            "high": values.max(),
            "seeds": len(repeats),
            "config": spec.configs[model].key,
        }
        for epoch, values in by_epoch
    ]


def figure(curves: pd.DataFrame, runs: Sequence[Run], paper: Reference) -> Figure:
    """Drawn from :func:`table`: by epoch, and after the last one, here and in the release."""
    run = comparable(runs, {"settings"})
    spec, measure = run.spec, measures.of(run.classes)
    ours = curves[curves["evidence"] != "reference"]
    theirs = curves[curves["evidence"] == "reference"]
    looks = {
        **{str(k): _look(int(k), spec.epochs, at) for at, k in enumerate(_every(ours))},
        "last": plots.Look(f"after {spec.epochs} epochs ({run.evidence})", "#0072b2", "s"),
        "release": plots.Look("the release's, after 10 epochs", "#666666", "x"),
    }
    by_epoch = [
        plots.Line(str(k), list(part["epoch"]), list(part["value"]))
        for k, part in ours.groupby("hop_epochs")
    ]
    last = ours[ours["epoch"] == spec.epochs]
    small = measures.why_not_top5(run.classes)
    seeds = len({each.spec.seed for each in runs})
    return plots.draw(
        f"Model hopping, then model averaging · {run.shown}, {spec.scale} scale, "
        f"W = {spec.workers}",
        f"{stand_in(spec.dataset.name, paper.dataset)} · {spec.dataset.train_rows:,} training rows "
        f"· {ours['config'].iloc[0]} · {count(seeds, 'seed')} · not in the paper",
        [
            [
                plots.Plot(
                    f"A · by epoch ({run.evidence})",
                    "epoch",
                    measure.title,
                    by_epoch,
                    ticks=range(1, spec.epochs + 1),
                ),
                _over_hops(last, "last", "B · here", measure.title),
                _over_hops(theirs, "release", f"C · release, {paper.dataset}", measures.TOP5.title),
            ]
        ],
        looks,
        [
            "0 epochs of hopping is model averaging alone (MA); as many as there are is Model "
            "Hopper Parallelism alone.",
            _verdict(last, f"Here ({run.evidence})"),
            _verdict(theirs, "The release"),
            *([small] if small else []),
            *([f"Bands: smallest and largest of {seeds} seeds."] if seeds > 1 else []),
            paper.remark,
        ],
    )


def _every(ours: pd.DataFrame) -> list[int]:
    return sorted(int(each) for each in ours["hop_epochs"].unique())


def _look(hops: int, epochs: int, place: int) -> plots.Look:
    share = hops / epochs
    rgb = (round(a + share * (b - a)) for a, b in zip(_LIGHT, _DARK, strict=True))
    colour = "#" + "".join(f"{part:02x}" for part in rgb)
    label = "averaging alone" if hops == 0 else f"{hops} hopping"
    label = "hopping alone" if hops == epochs else label
    return plots.Look(label, colour, _MARKERS[place % len(_MARKERS)])


def _over_hops(part: pd.DataFrame, look: str, title: str, up: str) -> plots.Plot:
    places, values = list(part["hop_epochs"]), list(part["value"])
    band = (list(part["low"]), list(part["high"])) if (part["low"] < part["high"]).any() else ()
    return plots.Plot(
        f"{title} (dotted: hopping alone)",
        "epochs of hopping before averaging",
        up,
        [plots.Line(look, places, values, *band)],
        ticks=places,
        level=(values[-1], ""),
    )


def _verdict(last: pd.DataFrame, who: str) -> str:
    """Whether averaging at the end improves on hopping alone, in words."""
    by_hops = last.set_index("hop_epochs")["value"]
    alone, between = float(by_hops.iloc[-1]), by_hops.iloc[1:-1]
    if between.isna().all():
        return f"{who}: no run that hops and then averages."
    best = int(between.idxmin())
    value = float(between[best])
    verdict = "better than" if value < alone else "no better than"
    return (
        f"{who}: the best switch is after {count(best, 'epoch')} ({value:.3g}), {verdict} hopping "
        f"alone ({alone:.3g}); averaging alone ends at {float(by_hops.iloc[0]):.3g}."
    )
