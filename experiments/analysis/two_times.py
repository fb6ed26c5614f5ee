"""What the 2x is made of: CTQ with the paper's habits one by one, between two runs of DA-Cerebro.

In the paper an epoch took CTQ 1.8 to 2 times as long as DA-Cerebro. The runs of CTQ follow the rows
of ``protocols.toml`` from ``equal`` to ``paper``, each with all steps before it.

Every run trains the same, so the time of its training steps tells how fast the machine was
meanwhile. Epochs are compared in multiples of it; seconds of runs that came minutes apart would say
as much of what else the machine did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.analysis import durations, page, tidy
from experiments.analysis.labels import ApproachLabel, count, stand_in
from experiments.analysis.output import RC
from experiments.analysis.panels import number
from experiments.analysis.reference import Reference
from experiments.analysis.runs import Run, comparable
from experiments.errors import DataError, SpecError

INSIDE, OUTSIDE = "ctq", "da-cerebro"
STEPS: Mapping[str, str] = {
    "equal": "the same for both",
    "training-set-pass": "+ training-set pass",
    "mid-epoch-validation": "+ mid-epoch validation",
    "decompression": "+ decompression on every scan",
    "madlib-buffers": "+ MADlib's buffer size",
    "paper": "+ rebuilding, fresh optimizer",
}
"""What each protocol adds to the one before it."""

_PHASES = ("rebuild", "train", "training_pass", "valid")
_ROW, _HALF = 0.46, 0.3
_HEAD, _AXIS, _LEFT, _RIGHT, _PAPER = 1.0, 0.6, 3.0, 0.35, 3.0
_GREY = "#8c8c8c"


def table(
    runs: Sequence[Run],
    labels: Mapping[str, ApproachLabel],
    epoch: Reference,
    end_to_end: Reference,
) -> pd.DataFrame:
    """What an epoch takes after each step, in multiples of its training, and the paper's hours.

    Parameters
    ----------
    runs : of CTQ with the protocols of :data:`STEPS`, and of DA-Cerebro with the first and last.
    epoch, end_to_end : the paper's Fig 9B and Table 6.

    Returns
    -------
    DataFrame
        ``evidence``, ``source``, ``approach``, ``title``, ``protocol``, ``step`` (in words),
        ``value`` (of an epoch, mean over the seeds: our time over that of its training steps, the
        paper's hours), ``unit``, ``added`` (to the row before it, of the same approach), ``share``
        (of what all of the approach's steps add), ``ratio`` (to DA-Cerebro, whose training differs
        in the last step only), ``seeds``; of ours, ``seconds`` of an epoch and of each phase in it,
        mean per worker.

    Raises
    ------
    SpecError
        The runs cannot stand in one figure, or a protocol or approach is missing.
    DataError
        A journal has no training.
    """
    comparable(runs, {"protocol"})
    rows: list[dict[str, Any]] = []
    for approach in (OUTSIDE, INSIDE):
        rows += _ours(approach, runs, labels[approach])
    of = {(row["approach"], row["protocol"]): row["value"] for row in rows}
    for approach, protocol in ((OUTSIDE, "equal"), (OUTSIDE, "paper"), *_steps_inside()):
        if (approach, protocol) not in of:
            raise SpecError(f"a run of {approach} with protocol {protocol} is missing")
    for row in rows:
        row["ratio"] = (
            row["value"] / of[OUTSIDE, "paper" if row["protocol"] == "paper" else "equal"]
        )
    return pd.DataFrame([*rows, *_papers(labels, epoch, end_to_end)])


def _steps_inside() -> list[tuple[str, str]]:
    return [(INSIDE, protocol) for protocol in STEPS]


def _ours(approach: str, runs: Sequence[Run], label: ApproachLabel) -> list[dict[str, Any]]:
    own = [run for run in runs if run.spec.approach == approach]
    rows: list[dict[str, Any]] = []
    for protocol, step in STEPS.items():
        repeats = [run for run in own if str(run.spec.protocol) == protocol]
        if not repeats:
            continue
        found = pd.DataFrame([_seconds(run) for run in repeats])
        value = float((found["seconds"] / found["train"]).mean())
        rows.append(
            {
                "evidence": repeats[0].evidence,
                "source": "here",
                "approach": approach,
                "title": label.title,
                "protocol": protocol,
                "step": "as in the paper" if approach == OUTSIDE and rows else step,
                "value": value,
                "unit": "x training",
                "added": value - rows[-1]["value"] if rows else None,
                "seeds": len(repeats),
                **found.mean().to_dict(),
            }
        )
    whole = rows[-1]["value"] - rows[0]["value"] if rows else 0.0
    for row in rows[1:]:
        row["share"] = row["added"] / whole if whole else None
    return rows


def _seconds(run: Run) -> dict[str, float]:
    spans = tidy.spans(run)
    spans = spans[spans["epoch"].notna()]
    share = run.spec.epochs * run.spec.workers
    sums = spans.groupby("phase")["seconds"].sum() / share
    names = (*_PHASES, "data_transmission", "model_transmission", "idle")
    phases = {name: float(sums.get(name, 0.0)) for name in names}
    if not phases["train"]:
        raise DataError(f"{run.folder}: the journal has no training in an epoch")
    return {"seconds": durations.execution(run) / run.spec.epochs, **phases}


def _papers(
    labels: Mapping[str, ApproachLabel], epoch: Reference, end_to_end: Reference
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for source, paper in (("Fig 9B", epoch), ("Table 6", end_to_end)):
        hours = {}
        for approach in (OUTSIDE, INSIDE):
            row = str(labels[approach].paper)
            names = tidy.COMPONENTS if paper is epoch else ("epoch_h",)
            hours[approach] = sum(paper.value(row, name) or 0.0 for name in names)
        for approach, value in hours.items():
            rows.append(
                {
                    "evidence": "reference",
                    "source": source,
                    "approach": approach,
                    "title": str(labels[approach].paper),
                    "protocol": "paper",
                    "step": source,
                    "value": value,
                    "unit": "h",
                    "ratio": value / hours[OUTSIDE],
                }
            )
    return rows


def figure(steps: pd.DataFrame, runs: Sequence[Run], labels: Mapping[str, ApproachLabel]) -> Figure:
    """Drawn from :func:`table`: ours as a waterfall, and the paper's two beside it."""
    run = comparable(runs, {"protocol"})
    spec = run.spec
    ours, papers = steps[steps["source"] == "here"], steps[steps["source"] == "Fig 9B"]
    lines = page.wrap(_notes(steps))
    tall = _ROW * len(ours)
    foot = _AXIS + page.NOTE * (len(lines) + 1)
    with mpl.rc_context(RC):
        figure = Figure(figsize=(page.WIDTH, _HEAD + tall + foot))
        page.write(
            figure,
            f"What the 2x is made of · {run.shown}, {spec.scale} scale, W = {spec.workers}",
            f"{stand_in(spec.dataset.name, 'ImageNet')} · {spec.dataset.train_rows:,} training "
            f"rows · {count(len(spec.configs), 'model')} · {count(spec.epochs, 'epoch')} · "
            f"{count(len({each.spec.seed for each in runs}), 'seed')} · not in the paper",
            lines,
        )
        width = page.WIDTH - _LEFT - _RIGHT - _PAPER
        axes = page.axes(figure, _LEFT, foot, width, tall)
        across = "an epoch's time over that of its training steps alone"
        _waterfall(axes, ours, labels, f"Here ({run.evidence})", across)
        side = page.axes(figure, page.WIDTH - _PAPER + 0.95, foot + tall - 1.0, 1.85, 1.0)
        _waterfall(side, papers, labels, "Paper (Fig 9B)", "hours per epoch")
        side.set_yticks(range(len(papers)), list(papers["title"]))
    return figure


def _waterfall(
    axes: Axes,
    rows: pd.DataFrame,
    labels: Mapping[str, ApproachLabel],
    title: str,
    across: str,
) -> None:
    """A whole bar for the first row of an approach, what is added for the others."""
    longest = float(rows["value"].max())
    names = []
    for place, row in enumerate(rows.to_dict("records")):
        first = pd.isna(row.get("added"))
        colour, end = labels[row["approach"]].colour, row["value"]
        start = 0.0 if first else end - row["added"]
        axes.barh(place, start, 2 * _HALF, color=colour, alpha=0.22)
        axes.barh(place, end - start, 2 * _HALF, left=start, color=colour, edgecolor="black")
        text = number(end)
        if not first:
            share = f", {100 * row['share']:+.0f} %" if row["approach"] == INSIDE else ""
            text = f"{text}  ({row['added']:+.2f}{share})"
        if row["approach"] == INSIDE:
            text = f"{text}  {row['ratio']:.2f} x DA"
        axes.text(max(start, end) + 0.015 * longest, place, text, va="center", fontsize=9)
        names.append(f"{row['title']}: {row['step']}")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.75 * longest)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", pad=6)
    axes.set_xlabel(across)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _notes(steps: pd.DataFrame) -> list[str]:
    ours = steps[(steps["source"] == "here") & (steps["approach"] == INSIDE)]
    ratios = list(ours["ratio"])
    papers = steps[(steps["evidence"] == "reference") & (steps["approach"] == INSIDE)]
    theirs = " and ".join(
        f"{row['ratio']:.2f} ({row['source']})" for row in papers.to_dict("records")
    )
    last = ours.iloc[-1]
    return [
        "Each row of CTQ has all steps above it; pale is what the row before took. In brackets: "
        "what the step adds, and its share of what all steps add. All runs train the same, so the "
        "time of their training steps is the measure; the CSV has seconds.",
        f"CTQ takes {ratios[0]:.2f} times as long as DA-Cerebro where both do the same, "
        f"{ratios[-2]:.2f} times with all steps but the last, {ratios[-1]:.2f} times where each "
        f"does what it did in the paper; the paper's ratio is {theirs}.",
        "The last step is DA-Cerebro's too, which builds its models for evaluations as well. "
        "Building one takes as long however few rows there are, so at small scale it is far more "
        f"of an epoch ({number(last['rebuild'])} s per worker) than in the paper, where a unit "
        "took minutes.",
        "Mid-epoch validation takes the place of that at the end of an epoch: as many rows, "
        "without loading the model again.",
    ]
