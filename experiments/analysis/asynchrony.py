"""Figs 11 and 16: how much faster MOP is without barriers where models are not alike.

==============  =================================================================================
theory          Propositions 1 and 2, with the mean of the models that the release drew
simulated       the release's own simulation, equal to the last digit: one draw
band            mean, smallest and largest of 30 other draws of the same setting
emulated        runs of UDAF and CTQ on workers that wait instead of training (Fig 11A)
reference       what the paper has: its drawn lines and, in Fig 11A, its runs
==============  =================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import durations, plots
from experiments.analysis.labels import count, emulation_notes
from experiments.analysis.reference import Reference
from experiments.analysis.runs import Run, comparable
from experiments.mop.release_simulation import (
    FIGURE_11A,
    FIGURE_16,
    Panel,
    another,
    panels,
)

SEEDS = 30
BAND = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Numbers of workers at which the band is simulated; a small panel's are all of its own."""

_LOOKS: Mapping[str, plots.Look] = {
    "theory": plots.Look("theory (Proposition 1)", "#000000", "", ":"),
    "simulation": plots.Look("simulated, the release's draw", "#0072b2", "", "--"),
    "band": plots.Look(f"simulated, mean and extremes of {SEEDS} draws", "#56b4e9", "", "-"),
    "emulated": plots.Look("emulated UDAF over CTQ", "#d55e00", "o", ""),
    "reference": plots.Look("the paper's simulation (reference)", "#777777", "x", ""),
    "actual": plots.Look("the paper's runs (reference)", "#777777", "s", ""),
}
_EVIDENCE: Mapping[str, str] = {
    "theory": "theory",
    "simulation": "simulated",
    "band": "simulated",
    "emulated": "emulated",
    "reference": "reference",
    "actual": "reference",
}
_MEASURED_LOOK = plots.Look("UDAF over CTQ, measured", "#d55e00", "o", "")


def figure_16_table(papers: Mapping[str, Reference]) -> pd.DataFrame:
    """Panels A to E.

    Returns
    -------
    DataFrame
        ``panel``, ``models``, ``share`` (of fast models), ``ratio`` (of a slow unit to a fast
        one), ``bound`` (eta), ``series`` (one of the module's table, or ``actual``, the paper's
        runs), ``evidence``, ``workers``, ``speed_up``, ``low``, ``high`` (over the draws or seeds)
        and ``seeds``.
    """
    rows: list[dict[str, Any]] = []
    for letter, drawn in zip("ABCDE", panels(FIGURE_16), strict=True):
        rows += _simulated(f"16{letter}", drawn)
        rows += _given(f"16{letter}", drawn, papers["16"], f"{letter} simulation", "reference")
    return pd.DataFrame(rows)


def figure_11_table(runs: Sequence[Run], papers: Mapping[str, Reference]) -> pd.DataFrame:
    """Panels A and B; the columns of :func:`figure_16_table`.

    Parameters
    ----------
    runs : of UDAF and CTQ, of any numbers of workers and seeds, or none. A number of workers or a
        seed that only one of them has is left out.

    Raises
    ------
    SpecError
        The runs differ in more than approach, number of workers, policy and seed.
    """
    (small,) = panels(FIGURE_11A)
    large = list(panels(FIGURE_16[:4]))[3]
    rows = _simulated("11A", small)
    rows += _given("11A", small, papers["11a"], "simulation", "reference")
    rows += _given("11A", small, papers["11a"], "actual", "actual")
    rows += _of_runs(runs, small)
    rows += _simulated("11B", large)
    rows += _given("11B", large, papers["16"], "D simulation", "reference")
    return pd.DataFrame(rows)


def _simulated(name: str, drawn: Panel) -> list[dict[str, Any]]:
    setting = drawn.setting
    counts = range(1, setting.workers + 1)
    rows = [
        _row(name, drawn, series, workers, float(value))
        for series, values in (("theory", drawn.theory), ("simulation", drawn.speed_up))
        for workers, value in zip(counts, values, strict=True)
    ]
    places = [workers for workers in counts if workers in BAND or setting.workers <= len(BAND)]
    band = np.array([another(setting, places, seed).speed_up for seed in range(SEEDS)])
    rows += [
        {
            **_row(name, drawn, "band", workers, float(values.mean())),
            "low": values.min(),
            "high": values.max(),
            "seeds": SEEDS,
        }
        for workers, values in zip(places, band.T, strict=True)
    ]
    return rows


def _given(
    name: str, drawn: Panel, paper: Reference, row: str, series: str
) -> list[dict[str, Any]]:
    values = zip(paper.columns, paper.rows.get(row, ()), strict=False)
    return [
        _row(name, drawn, series, int(workers), value)
        for workers, value in values
        if value is not None
    ]


def _of_runs(runs: Sequence[Run], drawn: Panel) -> list[dict[str, Any]]:
    if not runs:
        return []
    first = comparable(runs, apart=("workers",))
    seconds = {
        (run.spec.approach, run.spec.workers, run.spec.seed): durations.training(run)
        for run in runs
    }
    ups: dict[int, list[float]] = {}
    for approach, workers, seed in sorted(seconds):
        if approach == "udaf" and ("ctq", workers, seed) in seconds:
            slower = seconds[approach, workers, seed]
            ups.setdefault(workers, []).append(slower / seconds["ctq", workers, seed])
    return [
        {
            **_row("11A", drawn, "emulated", workers, float(np.mean(values))),
            "evidence": first.evidence,
            "low": min(values),
            "high": max(values),
            "seeds": len(values),
        }
        for workers, values in ups.items()
    ]


def _row(name: str, drawn: Panel, series: str, workers: int, value: float) -> dict[str, Any]:
    setting = drawn.setting
    return {
        "panel": name,
        "models": setting.models,
        "share": setting.share,
        "ratio": setting.slow,
        "bound": drawn.bound,
        "series": series,
        "evidence": _EVIDENCE[series],
        "workers": workers,
        "speed_up": value,
        "low": value,
        "high": value,
        "seeds": 1,
    }


def figure_16(table: pd.DataFrame, papers: Mapping[str, Reference]) -> Figure:
    """Drawn from :func:`figure_16_table`."""
    plotted = _plots(table)
    return plots.draw(
        "Fig 16 · MOP without barriers, models of two speeds · simulated",
        "times as fast as with a barrier after each sub-epoch · one epoch · "
        "not emulated, not measured",
        [plotted[:3], plotted[3:]],
        _used(table),
        [_BAND_NOTE, *_paper_notes([papers["16"]])],
    )


def figure_11(
    table: pd.DataFrame, runs: Sequence[Run], papers: Mapping[str, Reference], scale: str
) -> Figure:
    """Drawn from :func:`figure_11_table`."""
    looks = _used(table)
    kind = runs[0].evidence if runs else ""
    if "emulated" in looks and kind == "measured":
        looks["emulated"] = _MEASURED_LOOK
    shown = f"simulated and {kind}, {scale} scale" if runs else "simulated"
    return plots.draw(
        f"Fig 11 · MOP without barriers, models of two speeds · {shown}",
        _subtitle(runs),
        [_plots(table)],
        looks,
        [
            _BAND_NOTE,
            *_paper_notes([papers["11a"], papers["16"]]),
            *_run_notes(runs),
            *emulation_notes(run.spec for run in runs),
        ],
    )


_BAND_NOTE = (
    "The release simulated one draw of models and orders, from one pair of random streams for all "
    f"panels; the band shows what {SEEDS} other draws give. Dotted level: the bound of "
    "Proposition 2."
)


def _paper_notes(papers: Iterable[Reference]) -> list[str]:
    return [f"Paper: {paper.source}. {paper.remark}" for paper in papers]


def _subtitle(runs: Sequence[Run]) -> str:
    if not runs:
        return "times as fast as with a barrier after each sub-epoch · panel A has no runs here"
    spec = runs[0].spec
    return (
        f"times as fast as with a barrier after each sub-epoch · A: {runs[0].shown}, "
        f"{count(len(spec.configs), 'model')} (the paper's: 48), "
        f"{spec.dataset.train_rows:,} rows, {count(len({run.spec.seed for run in runs}), 'seed')}"
    )


def _run_notes(runs: Sequence[Run]) -> list[str]:
    if not runs:
        return []
    return [
        "Runs: seconds from the first unit's start to the last unit's end of training, UDAF's over "
        "CTQ's with the same seed; whiskers are the extremes over the seeds."
    ]


def _used(table: pd.DataFrame) -> dict[str, plots.Look]:
    return {name: look for name, look in _LOOKS.items() if (table["series"] == name).any()}


def _plots(table: pd.DataFrame) -> list[plots.Plot]:
    return [_plot(str(name), part) for name, part in table.groupby("panel", sort=False)]


def _plot(name: str, part: pd.DataFrame) -> plots.Plot:
    setting = part.iloc[0]
    most = int(part["workers"].max())
    lines = []
    for series in _LOOKS:
        own = part[part["series"] == series]
        if len(own):
            wide = (own["high"] > own["low"]).any()
            edges = (list(own["low"]), list(own["high"])) if wide else ((), ())
            lines.append(plots.Line(series, list(own["workers"]), list(own["speed_up"]), *edges))
    return plots.Plot(
        f"{name[-1]} · {setting['models']:,} models, {setting['share']:.0%} fast, "
        f"ratio {setting['ratio']:.3g}, bound {setting['bound']:.3g}",
        "workers",
        "speed-up",
        lines,
        range(1, most + 1) if most <= 8 else (1, 4, *range(8, most + 1, 8)),
        level=(float(setting["bound"]), ""),
        from_zero=False,
    )


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Speed-ups by panel and kind, as a reader wants them."""
    some = table[table["workers"].isin(BAND)]
    wide = some.pivot_table(
        index=["panel", "series"], columns="workers", values="speed_up", sort=False
    )
    return wide.reindex(sorted(wide.columns), axis=1)
