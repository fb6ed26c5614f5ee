"""Figures 9A, 10, 11 and 12, drawn anew from the authors' own logs, beside what the paper drew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import plots
from experiments.analysis.plots import Line, Look, Plot
from experiments.analysis.reference import Reference
from experiments.analysis.release.client import ERROR
from experiments.specs.release_logs import Approach, ReleaseLogs

Drawn = tuple[Figure, pd.DataFrame]
FROM = "from the authors' own logs"
_MARKERS = "os^DvPX*p<>h"
_PAPER = "the paper's"
_GREY = "#7a7a7a"
_TOP5 = "top-5 validation error"


def fig_9a(
    curves: pd.DataFrame, spec: ReleaseLogs, references: Mapping[str, Reference]
) -> Drawn | None:
    """The configuration of each approach with the lowest final error; nothing if none is there."""
    paper = references["9a"]
    of = _drawn_in(curves, "9a", spec)
    of = of[(of["split"] == "valid") & of[ERROR].notna()]
    if of.empty:
        return None
    best = pd.concat([_best(part) for _, part in of.groupby("approach", sort=False)])
    looks = _looks([spec.approaches[each] for each in dict.fromkeys(best["approach"])])
    ours = [
        Line(str(name), part["epoch"].to_list(), part[ERROR].to_list())
        for name, part in best.groupby("approach", sort=False)
    ]
    shown = {spec.approaches[str(name)].row: str(name) for name in best["approach"].unique()}
    theirs = [
        Line(shown[row], [float(name) for name in paper.columns], [float(v or 0) for v in values])
        for row, values in paper.rows.items()
        if row in shown
    ]
    ticks = sorted({*best["epoch"]} | {int(name) for name in paper.columns})
    figure = plots.draw(
        f"Figure 9A · Learning curves, ImageNet, W = 8 · {FROM}",
        "the configuration with the lowest error after the last epoch, where logs have "
        "its measures",
        [
            [
                Plot(_capital(FROM), "epoch", _TOP5, ours, ticks, from_zero=False),
                Plot(
                    "The same as the paper drew them",
                    "epoch",
                    _TOP5,
                    theirs,
                    ticks,
                    from_zero=False,
                ),
            ]
        ],
        looks,
        [
            *_lost(spec, "Figure 9A"),
            "CTQ's are what its client printed: means of evaluations in mid-epoch, each on one "
            "worker's shard.",
        ],
    )
    return figure, best


def _best(part: pd.DataFrame) -> pd.DataFrame:
    last = part[part["epoch"] == part["epoch"].max()]
    chosen = last.loc[last[ERROR].idxmin()]
    return part[(part["config"] == chosen["config"]) & (part["run"] == chosen["run"])].sort_values(
        "epoch"
    )


def fig_12(
    curves: pd.DataFrame, spec: ReleaseLogs, references: Mapping[str, Reference]
) -> Drawn | None:
    """Every configuration of every search by time: a row of two panels for each approach."""
    paper = references["12"]
    of = _drawn_in(curves, "12", spec)
    of = of[(of["split"] == "valid") & of["hours"].notna() & of[ERROR].notna()]
    if of.empty:
        return None
    rows = []
    for name, part in of.groupby("approach", sort=False):
        approach = spec.approaches[str(name)]
        ours = [
            Line("logs", one["hours"].to_list(), one[ERROR].to_list())
            for _, one in part.sort_values("epoch").groupby("config", sort=False)
        ]
        theirs = [
            Line("paper", values[:half], values[half:])
            for row, values in _numbers(paper).items()
            if row.rsplit(" ", 1)[0] == approach.row
            for half in [len(values) // 2]
        ]
        count = part["config"].nunique()
        heading = f"{approach.title}: {count} configurations"
        panel = [Plot(heading, "hours since training began", _TOP5, ours, from_zero=False)]
        if theirs and approach.title == approach.row:
            title = f"The paper: {len(theirs)} configurations"
            panel.append(Plot(title, "hours since training began", _TOP5, theirs, from_zero=False))
        rows.append(panel)
    looks = {
        "logs": Look(FROM, "#1b4f72", ".", "-"),
        "paper": Look("as the paper drew it", _GREY, ".", "-"),
    }
    figure = plots.draw(
        f"Figure 12 · Hyperparameter search, ImageNet, W = 8 · {FROM}",
        "top-5 validation error of every configuration after each epoch",
        rows,
        looks,
        [
            *_lost(spec, "Figure 12"),
            "Hours of Hyperopt-Spark's epochs lie evenly between the start and the end of each "
            "configuration's task: its logs have no others.",
        ],
    )
    return figure, of


def fig_10(
    times: pd.DataFrame, spec: ReleaseLogs, references: Mapping[str, Reference]
) -> Drawn | None:
    """Speed-ups over one worker, without ETL where the logs tell it."""
    paper = references["10a"]
    of = _drawn_in(times, "10", spec).sort_values("workers")
    of = of[of["exec_s"].notna()]
    alone = of[of["workers"] == 1].set_index("approach")["exec_s"]
    of = of[of["approach"].isin(alone.index)].copy()
    if of.empty:
        return None
    of["speed_up"] = [
        alone[name] / seconds for name, seconds in zip(of["approach"], of["exec_s"], strict=True)
    ]
    approaches = [spec.approaches[each] for each in dict.fromkeys(of["approach"])]
    places = [float(name) for name in paper.columns]
    ours = [
        Line(str(name), part["workers"].to_list(), part["speed_up"].to_list())
        for name, part in of.groupby("approach", sort=False)
    ]
    numbers = _numbers(paper)
    theirs = [
        Line(each.id, places, numbers[each.row]) for each in approaches if each.row in numbers
    ]
    across, up = "workers", "speed-up over one worker"
    figure = plots.draw(
        f"Figure 10A · Strong scaling, ImageNet · {FROM}",
        "time of eight models on one worker over the time on W, without the ETL in a run's time",
        [
            [
                Plot(_capital(FROM), across, up, ours, places),
                Plot("The paper, whose times were typed in", across, up, theirs, places),
            ]
        ],
        _looks(approaches),
        [
            *_lost(spec, "Figure 10A"),
            "Figures 10B to 10D are sums of events, which parts.csv has for each run.",
        ],
    )
    return figure, of


def fig_11(
    times: pd.DataFrame, spec: ReleaseLogs, references: Mapping[str, Reference]
) -> Drawn | None:
    """CTQ over UDAF with models of two speeds."""
    of = _drawn_in(times, "11", spec)
    wide = of.pivot_table(index="workers", columns="approach", values="exec_s")
    if not {"udaf", "ctq"} <= set(wide.columns) or wide.dropna().empty:
        return None
    wide = wide.dropna(subset=["udaf", "ctq"])
    paper = references["11a"]
    pairs = [
        (float(name), value)
        for name, value in zip(paper.columns, paper.rows["actual"], strict=True)
        if value is not None
    ]
    ours = Line("logs", list(wide.index), list(wide["udaf"] / wide["ctq"]))
    theirs = Line("paper", [place for place, _ in pairs], [value for _, value in pairs])
    ticks = sorted({*wide.index} | {place for place, _ in pairs})
    table = of.assign(speed_up=of["workers"].map(wide["udaf"] / wide["ctq"]))
    figure = plots.draw(
        f"Figure 11A · Models of two speeds · {FROM}",
        "UDAF's time over CTQ's, from the start to the end of the driver",
        [
            [
                Plot(
                    "Speed-up",
                    "workers",
                    "speed-up of CTQ over UDAF",
                    [ours, theirs],
                    ticks,
                )
            ]
        ],
        {"logs": Look(FROM, "#d55e00"), "paper": Look(_PAPER, _GREY, "x", "")},
        _lost(spec, "Figure 16"),
    )
    return figure, table


def _drawn_in(table: pd.DataFrame, figure: str, spec: ReleaseLogs) -> pd.DataFrame:
    """The rows of experiments that a figure was drawn of."""
    named = [each.id for each in spec.experiments if figure in each.figures]
    return table[table["experiment"].isin(named)]


def _looks(approaches: Sequence[Approach]) -> dict[str, Look]:
    return {
        each.id: Look(
            each.title + ("" if each.title == each.row else f" (the paper's {each.row})"),
            each.colour,
            marker,
        )
        for each, marker in zip(approaches, _MARKERS, strict=False)
    }


def _numbers(paper: Reference) -> dict[str, list[float]]:
    return {
        row: [float("nan") if value is None else value for value in values]
        for row, values in paper.rows.items()
    }


def _lost(spec: ReleaseLogs, what: str) -> list[str]:
    return [
        f"{each['what']}: not there, since {each['why']}."
        for each in spec.lost
        if each["what"].startswith(what)
    ]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
