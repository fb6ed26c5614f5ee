"""How far emulated runs are from simulated ones, and measured from emulated ones, per point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import durations, plots
from experiments.analysis.labels import ApproachLabel, count, emulation_notes
from experiments.analysis.runs import Run
from experiments.errors import SpecError
from experiments.mop.policy import make_policy
from experiments.mop.simulate import Workload, makespan, simulate
from experiments.specs.devices import THIS
from experiments.specs.emulation import EMULATED, MEASURED, EmulationSpec

GOAL = 0.05
"""How far apart two kinds of evidence should be at most."""

_PAIRS: Mapping[str, str] = {
    "device": "emulated / simulated",
    "own": "emulated / simulated with overhead",
    "measured": "measured / emulated",
}
_MARKERS = "os^DvPX*"
_SYNCHRONOUS = "round_robin"


def table(runs: Sequence[Run], labels: Mapping[str, ApproachLabel]) -> pd.DataFrame:
    """Seconds of training, from the first unit's start to the last one's end, found in two ways.

    A simulation has the run's policy, seed and rows. With ``device`` a unit takes what the device
    takes; with ``own`` also what the run's units took beside it, in the mean: then only the
    schedule is predicted.

    Parameters
    ----------
    runs : emulated runs of approaches that hop, of one epoch; and, to be compared with those that
        waited for this machine, measured ones.

    Returns
    -------
    DataFrame
        ``pair`` (``device``, ``own`` or ``measured``), ``experiment``, ``approach``, ``title``,
        ``policy``, ``workers``, ``seed``, ``seconds``, ``against`` and ``ratio``, the one over the
        other.

    Raises
    ------
    SpecError
        No two of these can be compared.
    """
    measured = {_point(run): run for run in runs if run.evidence == MEASURED}
    rows = []
    for run in runs:
        emulation = run.spec.emulation
        if emulation is None:
            continue
        found = durations.training(run)
        if emulation.device != THIS:
            for pair, beside in (("device", 0.0), ("own", run.pace["overhead_seconds_per_unit"])):
                rows.append(_row(pair, run, labels, found, _simulated(run, emulation, beside)))
        elif _point(run) in measured:
            real = durations.training(measured[_point(run)])
            rows.append(_row("measured", run, labels, real, found * emulation.speedup))
    if not rows:
        raise SpecError("none of these runs is emulated: there is nothing to compare")
    return pd.DataFrame(rows)


def _point(run: Run) -> tuple[object, ...]:
    spec = run.spec
    return spec.approach, spec.policy, spec.workers, spec.seed, spec.dataset, spec.configs


def _simulated(run: Run, emulation: EmulationSpec, beside: float) -> float:
    """Seconds of the clock on the wall; ``beside`` are such seconds too."""
    spec = run.spec
    each, more = divmod(spec.dataset.train_rows, spec.workers)
    rows = [each + (worker < more) for worker in range(spec.workers)]
    workload = Workload.on(emulation, spec.configs, rows, beside=beside * emulation.speedup)
    policy = make_policy(spec.policy, spec.seed)
    ran = simulate(policy, workload, barrier=spec.policy == _SYNCHRONOUS)
    return makespan(ran) / emulation.speedup


def _row(
    pair: str,
    run: Run,
    labels: Mapping[str, ApproachLabel],
    seconds: float,
    against: float,
) -> dict[str, Any]:
    spec = run.spec
    return {
        "pair": pair,
        "experiment": spec.experiment,
        "approach": spec.approach,
        "title": labels[spec.approach].title,
        "policy": spec.policy,
        "workers": spec.workers,
        "seed": spec.seed,
        "seconds": seconds,
        "against": against,
        "ratio": seconds / against,
    }


def figure(
    ratios: pd.DataFrame, runs: Sequence[Run], labels: Mapping[str, ApproachLabel]
) -> Figure:
    """Drawn from :func:`table`: a panel per experiment and pair, the ratio by number of workers."""
    looks = {
        name: plots.Look(
            labels[name].title, labels[name].colour, _MARKERS[place % len(_MARKERS)], ""
        )
        for place, name in enumerate(labels)
        if (ratios["approach"] == name).any()
    }
    panels = [
        _plot(part, f"{_PAIRS[str(pair)]} · {experiment}")
        for (pair, experiment), part in ratios.groupby(["pair", "experiment"], sort=False)
    ]
    panels.sort(key=lambda plot: plot.title)
    rows = [panels[first : first + 3] for first in range(0, len(panels), 3)]
    apart = ratios.assign(apart=(ratios["ratio"] - 1).abs())
    within = apart.groupby("pair")["apart"].agg(lambda each: (each <= GOAL).mean())
    told = ", ".join(f"{share:.0%} of {_PAIRS[str(pair)]}" for pair, share in within.items())
    scale = runs[0].spec.scale
    return plots.draw(
        f"Fidelity · What emulation and simulation are worth, {scale} scale",
        f"{count(len(ratios), 'point')} · within {GOAL:.0%}: {told}",
        rows,
        looks,
        [
            "Seconds from the start of the first unit to the end of the last one's training, one "
            "over the other; the dotted line is where they are equal.",
            "Simulated: the run's policy, seed and rows on a virtual clock; a unit takes what the "
            "device takes. With its overhead: and what the run's units took beside the device, in "
            "the mean. Measured over emulated: the same models trained on this machine, and waited "
            "for after a pilot of some seconds had measured it.",
            *emulation_notes(run.spec for run in runs if run.evidence == EMULATED),
        ],
    )


def _plot(part: pd.DataFrame, title: str) -> plots.Plot:
    lines = [
        plots.Line(str(approach), list(own["workers"]), list(own["ratio"]))
        for approach, own in part.groupby("approach", sort=False)
    ]
    ticks = sorted({int(workers) for workers in part["workers"]})
    return plots.Plot(title, "workers", "ratio", lines, ticks, level=(1.0, ""), from_zero=False)
