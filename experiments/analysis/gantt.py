"""Who does what when: Figs 13 and 14, and any run (``--gantt``), drawn from its journal.

A row is a worker, a box a unit of training in its model's colour; what is white between them is
waiting. The same spans as a Chrome trace can be opened in Perfetto or ``chrome://tracing``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.analysis import lanes, page, tidy
from experiments.analysis.labels import ApproachLabel, emulation_notes
from experiments.analysis.lanes import Lane
from experiments.analysis.output import RC
from experiments.analysis.runs import Run, comparable
from experiments.errors import DataError

_EVALUATIONS = ("training_pass", "valid")
_PHASES = ("train", "rebuild", "merge", "model_transmission", "data_transmission", *_EVALUATIONS)
_PALETTE = tuple(mpl.color_sequences["tab20"])
_DARK, _LIGHT = "#303030", 0.35
_HEAD, _PANEL_HEAD, _ROW, _FOOT, _GAP = 0.8, 0.3, 0.36, 0.55, 0.15
_LEFT, _RIGHT = 0.95, 0.2
_LEGEND = (
    "A box is a unit of training, its colour and number the model; black are a model's state or "
    "rows on their way; white is waiting. Dotted: the end of the last."
)
_NAMED = 0.018
"""Part of the axis that a box needs for its model's number."""

_MOST_ROWS = 12.0
"""Inches of rows at most; a run of more workers gets narrower ones."""


def bars(run: Run) -> pd.DataFrame:
    """What each worker did in the run's epochs, in the order of its start.

    Returns
    -------
    DataFrame
        ``approach``, ``worker``, ``model``, ``partition``, ``epoch``, ``phase``, and ``start_s``
        and ``end_s`` since the first of them began.

    Raises
    ------
    DataError
        The journal has no such span.
    """
    table = tidy.spans(run)
    table = table[table["epoch"].notna() & table["phase"].isin(_PHASES)].sort_values("start_ns")
    if table.empty:
        raise DataError(f"{run.folder}: the journal has no spans of {', '.join(_PHASES)}")
    zero = int(table["start_ns"].min())
    table["start_s"] = (table["start_ns"] - zero) / 1e9
    table["end_s"] = (table["end_ns"] - zero) / 1e9
    columns = ["run", "approach", "worker", "model", "partition", "epoch", "phase"]
    return table[[*columns, "start_s", "end_s"]].reset_index(drop=True)


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """The training of several runs, as :func:`bars`, with ``evidence``; no evaluation."""
    comparable(runs)
    return pd.concat([_training(run) for run in runs], ignore_index=True)


def _training(run: Run) -> pd.DataFrame:
    """Until the last unit, or what merges them, was done."""
    own = bars(run)
    last = own.loc[own["phase"].isin(("train", "merge")), "end_s"].max()
    kept = own[(own["start_s"] < last) & ~own["phase"].isin(_EVALUATIONS)]
    return kept.assign(evidence=run.evidence)


def names(runs: Sequence[Run], labels: Mapping[str, ApproachLabel]) -> list[str]:
    """What panels of approaches that hop are called: approach and policy."""
    return [
        f"{labels[run.spec.approach].title}, {run.spec.policy.replace('_', ' ')}" for run in runs
    ]


def figure(
    drawn: pd.DataFrame,
    runs: Sequence[Run],
    names: Sequence[str],
    title: str,
    notes: Sequence[str] = (),
    below: Sequence[Lane] = (),
) -> Figure:
    """Drawn from :func:`table` or :func:`bars`: one panel per run, all with the same time axis.

    Parameters
    ----------
    names : what each run's panel is called.
    below : lanes of the same time under the last panel.
    """
    first = runs[0]
    lines = page.wrap([_LEGEND, *notes, *emulation_notes(run.spec for run in runs)])
    row = min(_ROW, _MOST_ROWS / sum(run.spec.workers for run in runs))
    heights = [row * run.spec.workers for run in runs]
    body = sum(_PANEL_HEAD + height + _GAP for height in heights) + _FOOT + lanes.height(below)
    height = _HEAD + body + page.NOTE * (len(lines) + 1)
    until = float(drawn["end_s"].max())
    with mpl.rc_context(RC):
        drawing = Figure(figsize=(page.WIDTH, height))
        page.write(drawing, title, _subtitle(first), lines)
        top = height - _HEAD
        for number, (run, name, tall) in enumerate(zip(runs, names, heights, strict=True)):
            own = drawn[drawn["run"] == run.name]
            bottom = top - _PANEL_HEAD - tall
            axes = page.axes(drawing, _LEFT, bottom, page.WIDTH - _LEFT - _RIGHT, tall)
            last = number + 1 == len(runs) and not below
            _panel(axes, own, name, run.spec.workers, until, named=row > _ROW / 2, last=last)
            top = bottom - _GAP
        wide = page.WIDTH - _LEFT - _RIGHT
        lanes.draw(drawing, below, until, left=_LEFT, top=top, wide=wide)
    return drawing


def _panel(
    axes: Axes,
    own: pd.DataFrame,
    name: str,
    workers: int,
    until: float,
    *,
    named: bool,
    last: bool,
) -> None:
    for (worker, model, phase), boxes in own.groupby(["worker", "model", "phase"]):
        colour = _PALETTE[int(model) % len(_PALETTE)]
        moving = phase.endswith("transmission")
        places = list(zip(boxes["start_s"], boxes["end_s"] - boxes["start_s"], strict=True))
        axes.broken_barh(
            places,
            (int(worker) - 0.42, 0.84),
            facecolor=_DARK if moving else colour,
            alpha=_LIGHT if phase in _EVALUATIONS else 1.0,
            edgecolor=_DARK,
            linewidth=0.0 if moving else 0.5,
        )
        for start, wide in places if named and phase == "train" else ():
            if wide / until > _NAMED:
                axes.text(
                    start + wide / 2, int(worker), f"{model}", ha="center", va="center", fontsize=8
                )
    end = float(own["end_s"].max())
    axes.axvline(end, color="black", linestyle=":", linewidth=1.1)
    axes.set_title(f"{name}: {end:.3g} s", loc="left", fontsize=10, pad=4)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlim(0, until * 1.02)
    axes.set_ylim(workers - 0.5, -0.5)
    step = max(1, workers // 16)
    axes.set_yticks(range(0, workers, step))
    axes.set_yticklabels([f"worker {each}" for each in range(0, workers, step)])
    axes.tick_params(labelbottom=last)
    if last:
        axes.set_xlabel("seconds since the first unit began", fontsize=9)


def _subtitle(run: Run) -> str:
    configs = run.configs.values()
    kinds: dict[str, int] = {}
    for config in configs:
        name = f"{config.architecture}, batch {config.batch_size}"
        kinds[name] = kinds.get(name, 0) + 1
    parts = [f"{many} x {name}" for name, many in list(kinds.items())[:4]]
    more = ["…"] if len(kinds) > 4 else []
    return f"W = {run.spec.workers} · {', '.join([*parts, *more])} · seed {run.spec.seed}"


def chrome_trace(run: Run) -> str:
    """Every span of the run in the Trace Event Format, times in microseconds."""
    rows: list[dict[str, Any]] = []
    spans = tidy.spans(run)
    zero = int(spans["start_ns"].min())
    for span in spans.itertuples():
        worker = None if pd.isna(span.worker) else int(span.worker)
        known = {"model": span.model, "partition": span.partition, "epoch": span.epoch}
        rows.append(
            {
                "name": span.phase if pd.isna(span.model) else f"{span.phase} model {span.model}",
                "cat": span.phase,
                "ph": "X",
                "ts": (span.start_ns - zero) / 1e3,
                "dur": span.ns / 1e3,
                "pid": 0,
                "tid": 0 if worker is None else worker + 1,
                "args": {key: int(value) for key, value in known.items() if pd.notna(value)}
                | {"bytes": int(span.bytes)},
            }
        )
    threads = {0: "driver"} | {worker + 1: f"worker {worker}" for worker in range(run.spec.workers)}
    rows += [
        {"name": "thread_name", "ph": "M", "pid": 0, "tid": tid, "args": {"name": name}}
        for tid, name in threads.items()
    ]
    rows.append({"name": "process_name", "ph": "M", "pid": 0, "args": {"name": run.name}})
    return json.dumps({"traceEvents": rows, "displayTimeUnit": "ms"})
