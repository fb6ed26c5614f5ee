"""Who did what when, for a few runs, as shapes that a page can zoom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from experiments.analysis import gantt
from experiments.analysis.runs import load
from experiments.errors import ReproduceError
from experiments.paths import RunFolder
from experiments.report.run_folders import RunSeen
from experiments.specs.load import approaches

ALL_RUNS = ("barriers", "stragglers")
"""Experiments of Figures 13 and 14: every run of them is drawn."""
ONE_EACH = "breakdown"
"""The experiment of which one run per approach is drawn."""

MOST_BOXES = 1_200
"""Of a run; of more, the shortest are left out, and the page says how many."""

MOST_BYTES = 30_000_000
"""A journal that is larger is not drawn on the page; ``--gantt RUN`` draws it."""

WIDE = 1000.0
"""Units of a drawing's width, whatever the run took."""
ROW = 20
"""Units of a worker's row."""

_COLOURS = 20


@dataclass(frozen=True)
class Box:
    """A stretch of a worker's time. ``x`` and ``width`` are of :data:`WIDE`, ``y`` from the top.

    ``look`` is a class of the style sheet, ``words`` what it was.
    """

    x: float
    y: float
    width: float
    height: float
    look: str
    words: str


@dataclass(frozen=True)
class Gantt:
    """One run's drawing, or in ``fault`` why there is none."""

    run: str
    title: str
    evidence: str
    workers: int
    seconds: float
    boxes: tuple[Box, ...]
    left_out: int
    fault: str = ""

    @property
    def height(self) -> int:
        return self.workers * ROW


def representative(runs: Iterable[RunSeen]) -> list[RunSeen]:
    """The finished runs to draw: of two that differ in nothing but their code, the later."""
    chosen: dict[tuple[str, ...], RunSeen] = {}
    done = sorted((run for run in runs if run.done), key=lambda run: run.finished)
    for run in done:
        if run.experiment == ONE_EACH:
            chosen[run.experiment, run.approach] = run
        elif run.experiment in ALL_RUNS:
            chosen[run.experiment, run.approach, str(run.workers), str(run.seed)] = run
    order = [*ALL_RUNS, ONE_EACH]
    known = [*approaches()]
    return sorted(
        chosen.values(),
        key=lambda run: (order.index(run.experiment), _place(run.approach, known), run.name),
    )


def draw(run: RunSeen) -> Gantt:
    """One run's drawing; a run that cannot be read says so."""
    row = approaches().get(run.approach)
    title = f"{row.title if row else run.approach}, {run.experiment}, W = {run.workers}"
    none = Gantt(run.name, title, run.evidence, run.workers, 0.0, (), 0)
    size = RunFolder(run.folder).journal.stat().st_size
    if size > MOST_BYTES:
        words = f"its journal has {size / 1e6:.0f} MB: --gantt {run.name} draws it"
        return replace(none, fault=words)
    try:
        bars = gantt.bars(load(run.folder))
    except (ReproduceError, OSError) as error:
        return replace(none, fault=str(error))
    bars = bars[bars["worker"].notna()]
    until = float(bars["end_s"].max())
    long = (bars["end_s"] - bars["start_s"]).sort_values(ascending=False, kind="stable")
    kept = bars.loc[long.index[:MOST_BOXES]].sort_values("start_s", kind="stable")
    return Gantt(
        run.name,
        title,
        run.evidence,
        run.workers,
        until,
        tuple(_boxes(kept, until)),
        len(bars) - len(kept),
    )


def _boxes(bars: pd.DataFrame, until: float) -> Iterable[Box]:
    scale = WIDE / until if until else 0.0
    for bar in bars.itertuples():
        moving = bar.phase.endswith("transmission")
        look = "move" if moving else _model_look(bar.model)
        if bar.phase in {"valid", "training_pass"}:
            look += " pale"
        inset = 6.0 if moving else 1.5
        yield Box(
            x=round(bar.start_s * scale, 3),
            y=int(bar.worker) * ROW + inset,
            width=round(max((bar.end_s - bar.start_s) * scale, 0.05), 3),
            height=ROW - 2 * inset,
            look=look,
            words=_words(bar),
        )


def _model_look(model: Any) -> str:
    return "all" if pd.isna(model) else f"m{int(model) % _COLOURS}"


def _words(bar: Any) -> str:
    """A row of the bars: who did what, on what, and when."""
    parts = [bar.phase.replace("_", " ")]
    known = {"model": bar.model, "partition": bar.partition, "epoch": bar.epoch}
    parts += [f"{name} {int(value)}" for name, value in known.items() if not pd.isna(value)]
    start, end = bar.start_s, bar.end_s
    return (
        f"worker {int(bar.worker)}: {', '.join(parts)}; "
        f"{start:.3f} s to {end:.3f} s ({end - start:.3g} s)"
    )


def _place(name: str, known: Sequence[str]) -> int:
    return known.index(name) if name in known else len(known)
