"""Fig 10: strong scaling of eight alike models, emulated, measured, simulated and the paper's."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import durations, plots, tidy
from experiments.analysis.labels import ApproachLabel, absences, count, emulation_notes, stand_in
from experiments.analysis.reference import Reference, paper_rows
from experiments.analysis.runs import Run, comparable
from experiments.mop.policy import make_policy
from experiments.mop.simulate import Workload, makespan, simulate

MODELS = (8, 32)
"""How many alike models are simulated; the paper's, and enough to keep more workers busy."""

MOST_WORKERS = 1024
APART = 0.03
"""Part by which simulated units of alike models differ at most."""

_SEEDS = 30
_SIMULATED: Mapping[str, tuple[str, str]] = {
    "random": ("random order (simulated)", "#d55e00"),
    "round_robin": ("round robin (simulated)", "#009e73"),
}
_NORMALIZED = {
    "train_valid": ("train_valid",),
    "data_transmission": ("data_transmission",),
    "other": ("model_transmission", "approach_specific"),
}
_PAPER = {
    "speed_up": "10a",
    "train_valid": "10b",
    "data_transmission": "10c",
    "other": "10d",
}
_TITLES = {
    "speed_up": "speed-up",
    "train_valid": "train + valid",
    "data_transmission": "data transmission",
    "other": "other",
}
_MARKERS = "os^DvPX*"


def table(
    runs: Sequence[Run],
    labels: Mapping[str, ApproachLabel],
    papers: Mapping[str, Reference],
) -> pd.DataFrame:
    """Everything the figure shows.

    Parameters
    ----------
    runs : of any number of workers, of one experiment for each kind of evidence.
    papers : the paper's figures by id, ``10a`` to ``10d``.

    Returns
    -------
    DataFrame
        ``evidence`` (measured, emulated, simulated or reference), ``approach`` (none for simulated
        policies), ``title``, ``policy``, ``models``, ``workers``, ``seeds`` and, as means over the
        seeds: ``seconds`` of the epoch; ``speed_up`` over the fewest workers there are, times their
        number, with ``low`` and ``high``; machine time of all workers over that of the fewest, for
        ``train_valid``, ``data_transmission`` and ``other`` (model transmission and what is
        specific of the approach). NaN where one is not known.
    """
    rows: list[dict[str, Any]] = []
    for group in _by_evidence(runs).values():
        comparable(group, apart=("workers",))
        for approach in labels:
            own = [run for run in group if run.spec.approach == approach]
            rows += _of_approach(own, labels[approach].title)
    rows += _of_paper(labels, papers)
    rows += _simulated()
    return pd.DataFrame(rows)


def _by_evidence(runs: Iterable[Run]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.evidence, []).append(run)
    return groups


def _of_approach(runs: Sequence[Run], title: str) -> list[dict[str, Any]]:
    by_workers: dict[int, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.spec.workers):
        by_workers.setdefault(run.spec.workers, []).append(run)
    rows: list[dict[str, Any]] = []
    first: dict[str, float] = {}
    for workers, repeats in by_workers.items():
        seconds = [durations.execution(run) for run in repeats]
        spent = {name: _machine_seconds(repeats, name) for name in _NORMALIZED}
        if not first:
            first = {"seconds": float(np.mean(seconds)) * workers, **spent}
        ups = [first["seconds"] / each for each in seconds]
        rows.append(
            {
                "evidence": repeats[0].evidence,
                "approach": repeats[0].spec.approach,
                "title": title,
                "policy": repeats[0].spec.policy,
                "models": len(repeats[0].configs),
                "workers": workers,
                "seeds": len(repeats),
                "seconds": float(np.mean(seconds)),
                "speed_up": float(np.mean(ups)),
                "low": min(ups),
                "high": max(ups),
                **{name: _over(spent[name], first[name]) for name in _NORMALIZED},
            }
        )
    return rows


def _machine_seconds(runs: Sequence[Run], name: str) -> float:
    """Seconds of all workers together, mean over the seeds."""
    total = 0.0
    for run in runs:
        parts = tidy.components(run).set_index("component")["seconds"]
        total += float(parts[list(_NORMALIZED[name])].sum()) * run.spec.workers
    return total / len(runs)


def _over(value: float, base: float) -> float:
    return value / base if base else float("nan")


def _of_paper(
    labels: Mapping[str, ApproachLabel], papers: Mapping[str, Reference]
) -> list[dict[str, Any]]:
    takers = paper_rows(labels, papers["10a"])
    return [
        {
            "evidence": "reference",
            "approach": approach,
            "title": row,
            "models": 8,
            "workers": int(workers),
            **{name: papers[figure].value(row, workers) for name, figure in _PAPER.items()},
        }
        for approach, row in takers.items()
        for workers in papers["10a"].columns
    ]


@functools.cache
def _simulated() -> tuple[dict[str, Any], ...]:
    """Alike models that take 1 s on all rows, by policy; the first number of workers is 1."""
    rows = []
    for models in MODELS:
        for policy, (title, _) in _SIMULATED.items():
            for workers in (2**power for power in range(MOST_WORKERS.bit_length())):
                seeds = range(max(2, _SEEDS // (1 + models * workers // 256)))
                ups = [_simulated_speed_up(policy, models, workers, seed) for seed in seeds]
                rows.append(
                    {
                        "evidence": "simulated",
                        "title": title,
                        "policy": policy,
                        "models": models,
                        "workers": workers,
                        "seeds": len(ups),
                        "speed_up": float(np.mean(ups)),
                        "low": min(ups),
                        "high": max(ups),
                    }
                )
    return tuple(rows)


def _simulated_speed_up(policy: str, models: int, workers: int, seed: int) -> float:
    """Of units that differ by up to :data:`APART`, as real ones do.

    Exactly equal ones end together, and the order in which equal ends are looked at would decide.
    """
    longer = 1.0 + APART * np.random.default_rng(seed).random((models, workers))
    workload = Workload(longer / workers, np.zeros(workers))
    barrier = policy == "round_robin"
    epoch = simulate(make_policy(policy, seed), workload, barrier=barrier)
    return float(longer.mean()) * models / makespan(epoch)


def figure(
    scaling: pd.DataFrame,
    runs: Sequence[Run],
    labels: Mapping[str, ApproachLabel],
    papers: Mapping[str, Reference],
) -> Figure:
    """Drawn from :func:`table`: what ran here, the paper's, and what only a simulation reaches."""
    looks = {
        name: plots.Look(labels[name].title, labels[name].colour, _MARKERS[place % len(_MARKERS)])
        for place, name in enumerate(labels)
        if (scaling["approach"] == name).any()
    }
    looks |= {
        policy: plots.Look(title, colour, "", "--")
        for policy, (title, colour) in _SIMULATED.items()
    }
    by_evidence = dict(tuple(scaling.groupby("evidence", sort=False)))
    rows = [
        [
            _of_runs(
                by_evidence[evidence],
                name,
                f"{letter} · {_TITLES[name]} ({_shown(runs, evidence)})",
            )
            for letter, name in zip("ABCD", _TITLES, strict=True)
        ]
        for evidence in ("emulated", "measured", "reference")
        if evidence in by_evidence
    ]
    rows.append(
        [
            _to_many(by_evidence["simulated"], models, letter)
            for letter, models in zip("EF", MODELS, strict=True)
        ]
    )
    return plots.draw(_title(runs), _subtitle(runs), rows, looks, _notes(runs, papers))


def _shown(runs: Sequence[Run], evidence: str) -> str:
    if evidence == "reference":
        return "paper"
    emulation = next(run for run in runs if run.evidence == evidence).spec.emulation
    return evidence if emulation is None else f"{evidence} {emulation.device}"


def _of_runs(part: pd.DataFrame, name: str, title: str) -> plots.Plot:
    lines = [
        plots.Line(
            str(approach),
            list(own["workers"]),
            list(own[name]),
            *((list(own["low"]), list(own["high"])) if name == "speed_up" else ()),
        )
        for approach, own in part.groupby("approach", sort=False)
        if own[name].notna().any()
    ]
    ticks = sorted({int(workers) for workers in part["workers"]})
    most = max(ticks)
    return plots.Plot(
        title,
        "workers",
        "times one worker's",
        lines,
        ticks,
        log_up=name == "other",
        level=(most, "as many as workers") if name == "speed_up" else None,
    )


def _to_many(part: pd.DataFrame, models: int, letter: str) -> plots.Plot:
    own = part[part["models"] == models]
    lines = [
        plots.Line(
            str(policy),
            list(of["workers"]),
            list(of["speed_up"]),
            list(of["low"]),
            list(of["high"]),
        )
        for policy, of in own.groupby("policy", sort=False)
    ]
    return plots.Plot(
        f"{letter} · speed-up of {models} models (simulated)",
        "workers",
        "times one worker's",
        lines,
        sorted({int(workers) for workers in own["workers"]}),
        log_across=True,
        level=(models, f"as many as models: {models}"),
    )


def _title(runs: Sequence[Run]) -> str:
    counts = sorted({run.spec.workers for run in runs})
    return (
        f"Fig 10 · Strong scaling · {', '.join(_by_evidence(runs))}, {runs[0].spec.scale} scale, "
        f"W = {', '.join(map(str, counts))}"
    )


def _subtitle(runs: Sequence[Run]) -> str:
    parts = []
    for evidence, group in _by_evidence(runs).items():
        spec = group[0].spec
        architectures = ", ".join(sorted({config.architecture for config in spec.configs}))
        parts.append(
            f"{_shown(runs, evidence)}: {count(len(spec.configs), f'{architectures} model')}, "
            f"{spec.dataset.train_rows:,} rows"
        )
    return " · ".join([stand_in(runs[0].spec.dataset.name, "ImageNet"), *parts])


def _notes(runs: Sequence[Run], papers: Mapping[str, Reference]) -> list[str]:
    spec = runs[0].spec
    notes = [
        "Speed-up: of an epoch, training and evaluation without ETL and building models, over the "
        "fewest workers of the same approach. B to D: machine time of all workers together, over "
        "that of the fewest; other is model transmission and what is specific of the approach "
        "(averaging, waiting).",
        f"E, F: {_SEEDS} seeds, fewer where there are many units; models are alike, their units "
        f"differ by up to {APART:.0%} as real ones do. More workers than models cannot help: a "
        "model is in one place at a time.",
        *(
            f"Paper, {figure[-1].upper()}: {papers[figure].remark}"
            for figure in _PAPER.values()
            if papers[figure].remark
        ),
        *(f"Paper: {note}" for note in papers["10a"].notes.values()),
    ]
    notes += emulation_notes(run.spec for run in runs)
    experiments = sorted({run.spec.experiment for run in runs})
    return [*notes, *absences(experiments, spec.scale)]
