"""How far schedulers are from the shortest epoch there can be, by how many models a worker has.

Not in the paper, where random order loses a sixth at as many models as workers (Figs 10A and 14).
Simulated by every policy; ``optimal`` is what constraint programming finds, which knows all
durations beforehand. Runs of approaches that take a policy are points beside the lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.analysis import durations, plots
from experiments.analysis.labels import count, emulation_notes
from experiments.analysis.runs import Run, comparable
from experiments.errors import DataError
from experiments.mop.optimal import known_times, optimal
from experiments.mop.policy import make_policy
from experiments.mop.simulate import Workload, makespan, simulate

WORKERS = 8
PER_WORKER = (1, 1.5, 2, 3, 4, 8, 16, 32, 64)
"""Models for each worker."""

APART = 0.03
"""Part by which simulated units of alike models differ at most, as in Figure 10."""

_FULL = 2 * WORKERS
"""Models up to which an epoch is simulated with all seeds; larger ones with fewer."""

SLOW = 8.0
"""Times a fast model's unit that a slow one's takes; one model of five is slow (Figure 11A)."""

_ALIKE, _MIXED = "alike", "mixed"
_PANELS: Sequence[tuple[str, str, frozenset[str]]] = (
    ("A · models are alike", _ALIKE, frozenset()),
    (f"B · one of five takes {SLOW:g} times as long", _MIXED, frozenset({"round_robin"})),
    ("C · the same, with round robin", _MIXED, frozenset()),
)
"""Each panel's title, workload and the policies that it leaves out."""

_OPTIMAL = "optimal"
_LOOKS: Mapping[str, plots.Look] = {
    "random": plots.Look("random (simulated, mean and extremes)", "#d55e00", "", "--"),
    "round_robin": plots.Look("round robin (simulated)", "#009e73", "", ":"),
    "longest_first": plots.Look("longest first (simulated)", "#cc79a7", "", "--"),
    "matching": plots.Look("matching (simulated)", "#0072b2", "", "-."),
    _OPTIMAL: plots.Look("optimal (simulated, CP-SAT)", "#000000", "x", "-"),
}
_POLICIES = tuple(name for name in _LOOKS if name != _OPTIMAL)
_MARKERS = "osD^"


@dataclass(frozen=True)
class Effort:
    """How much is simulated.

    Attributes
    ----------
    seeds : of each policy, for small epochs; of large ones fewer.
    searches : seeds of ``optimal``.
    seconds : of each of its searches.
    per_worker : most models for each worker that it is asked for.
    """

    seeds: int
    searches: int
    seconds: float
    per_worker: float


EFFORTS: Mapping[str, Effort] = {
    "smoke": Effort(30, 2, 0.1, 4),
    "laptop": Effort(60, 5, 2.0, 8),
    "paper": Effort(100, 10, 10.0, 16),
}


def table(runs: Sequence[Run], effort: Effort) -> pd.DataFrame:
    """Makespans over lower bounds.

    Parameters
    ----------
    runs : of any policies and seeds, alike in everything else, of one epoch; or none. Their bound
        is the busiest worker or the longest model by what their own units took.

    Returns
    -------
    DataFrame
        ``workload`` (``alike`` or ``mixed``), ``policy``, ``evidence``, ``approach`` (of runs),
        ``models``, ``workers``, ``per_worker``, ``seeds``; ``ratio`` of the makespan to the bound
        as a mean with ``low`` and ``high``; ``seconds``, the mean makespan (a fast unit takes one
        when simulated); and ``gap``, for ``optimal``: the mean by which it may be too long.

    Raises
    ------
    SpecError
        The runs differ in more than approach, policy and seed.
    DataError
        A run's journal has no finished unit of training.
    """
    real = _of_runs(runs)
    rows: list[dict[str, Any]] = []
    for kind in (_ALIKE, _MIXED):
        for per_worker in PER_WORKER:
            rows += _simulated(kind, round(per_worker * WORKERS), effort)
    return pd.DataFrame([*rows, *real])


def _simulated(kind: str, models: int, effort: Effort) -> list[dict[str, Any]]:
    rows = []
    seeds = range(max(2, effort.seeds * _FULL // max(models, _FULL)))
    for policy in _POLICIES:
        found = []
        for seed in seeds:
            workload = _workload(kind, models, seed)
            times = known_times(workload)
            seconds = makespan(simulate(make_policy(policy, seed), workload, times=times))
            found.append((seconds, workload.bound()))
        rows.append(_row(kind, policy, "simulated", models, WORKERS, found))
    if models <= effort.per_worker * WORKERS:
        best = [
            optimal(_workload(kind, models, seed), effort=effort.seconds, seed=seed)
            for seed in range(effort.searches)
        ]
        pairs = [(each.seconds, each.bound) for each in best]
        row = _row(kind, _OPTIMAL, "simulated", models, WORKERS, pairs)
        rows.append({**row, "gap": float(np.mean([each.gap for each in best]))})
    return rows


def _workload(kind: str, models: int, seed: int) -> Workload:
    """Of units that differ a little, as real ones do: equal ones would all end together."""
    stream = np.random.default_rng(seed)
    slow = stream.permutation(models) < (models // 5 if kind == _MIXED else 0)
    noise = 1.0 + APART * stream.random((models, WORKERS))
    return Workload(np.where(slow, SLOW, 1.0)[:, None] * noise, np.zeros(WORKERS))


def _of_runs(runs: Sequence[Run]) -> list[dict[str, Any]]:
    if not runs:
        return []
    comparable(runs, apart=("policy",))
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.spec.approach, run.spec.policy), []).append(run)
    rows = []
    for (approach, policy), repeats in groups.items():
        first = repeats[0]
        alike = len({(c.architecture, c.batch_size) for c in first.spec.configs}) == 1
        found = [(durations.training(run), _bound(run)) for run in repeats]
        size = (len(first.spec.configs), first.spec.workers)
        row = _row(_ALIKE if alike else _MIXED, policy, first.evidence, *size, found)
        rows.append({**row, "approach": approach})
    return rows


def _bound(run: Run) -> float:
    """Seconds of the busiest worker or of the longest model, by what the run's units took."""
    of: dict[tuple[str, int | None], float] = {}
    started: dict[tuple[int | None, int | None], int] = {}
    for event in run.events:
        key = (event.model, event.partition)
        if event.kind == "unit_started":
            started[key] = event.mono_ns
        elif event.kind == "unit_finished" and event.detail["kind"] == "train":
            took = float(event.detail.get("seconds", (event.mono_ns - started[key]) / 1e9))
            for who in (("model", event.model), ("worker", event.partition)):
                of[who] = of.get(who, 0.0) + took
    if not of:
        raise DataError(f"{run.folder}: the journal has no finished unit of training")
    return max(of.values())


def _row(
    kind: str,
    policy: str,
    evidence: str,
    models: int,
    workers: int,
    found: Sequence[tuple[float, float]],
) -> dict[str, Any]:
    """Of pairs of a makespan and its bound."""
    ratios = [seconds / bound for seconds, bound in found]
    return {
        "workload": kind,
        "policy": policy,
        "evidence": evidence,
        "models": models,
        "workers": workers,
        "per_worker": models / workers,
        "seeds": len(found),
        "ratio": float(np.mean(ratios)),
        "low": min(ratios),
        "high": max(ratios),
        "seconds": float(np.mean([seconds for seconds, _ in found])),
    }


def figure(gaps: pd.DataFrame, runs: Sequence[Run], scale: str) -> Figure:
    """Drawn from :func:`table`."""
    real = gaps[gaps["evidence"] != "simulated"]
    looks = dict(_LOOKS)
    points = {str(policy): f"run {policy}" for policy in dict.fromkeys(real["policy"])}
    for place, (policy, name) in enumerate(points.items()):
        colour = _LOOKS[policy].colour if policy in _LOOKS else "#777777"
        words = policy.replace("_", " ")
        label = f"{words} ({runs[0].evidence} runs)"
        looks[name] = plots.Look(label, colour, _MARKERS[place % len(_MARKERS)], "")
    panels = [
        _panel(title, gaps[(gaps["workload"] == kind) & ~gaps["policy"].isin(without)], points)
        for title, kind, without in _PANELS
    ]
    shown = f"simulated and {runs[0].evidence}, {scale} scale" if runs else "simulated"
    return plots.draw(
        f"The scheduler gap · one epoch over the shortest there can be · {shown}",
        f"{WORKERS} workers when simulated · not in the paper" + _about(runs),
        [panels],
        looks,
        [
            "Simulated: units differ by up to "
            f"{APART:.0%}; policies know each model's mean, as after a first epoch; bands and "
            "whiskers are the extremes over seeds. The bound is the busiest worker or the longest "
            "model; that of the optimal line is CP-SAT's own.",
            *_optimal_note(gaps),
            *_run_notes(real, runs),
            *emulation_notes(run.spec for run in runs),
        ],
    )


def _panel(title: str, part: pd.DataFrame, points: Mapping[str, str]) -> plots.Plot:
    lines = []
    for (evidence, policy), own in part.groupby(["evidence", "policy"], sort=False):
        simulated = evidence == "simulated"
        edges = (list(own["low"]), list(own["high"]))
        lines.append(
            plots.Line(
                str(policy) if simulated else points[str(policy)],
                list(own["per_worker"]),
                list(own["ratio"]),
                *(edges if policy == "random" or not simulated else ((), ())),
            )
        )
    return plots.Plot(
        title,
        "models per worker",
        "makespan over bound",
        lines,
        [1, 2, 4, 8, 16, 32, 64],
        log_across=True,
        from_zero=False,
    )


def _about(runs: Sequence[Run]) -> str:
    if not runs:
        return " · no runs here"
    spec = runs[0].spec
    seeds = len({run.spec.seed for run in runs})
    return (
        f" · runs: {runs[0].shown}, {count(len(spec.configs), 'model')} on "
        f"{count(spec.workers, 'worker')}, {count(seeds, 'seed')}"
    )


def _optimal_note(gaps: pd.DataFrame) -> list[str]:
    best = gaps[gaps["policy"] == _OPTIMAL]
    return [
        f"CP-SAT was asked up to {best['per_worker'].max():g} models per worker; what it found is "
        f"at most {best['gap'].max():.2%} longer than its bound (means over "
        f"{count(int(best['seeds'].max()), 'seed')})."
    ]


def _run_notes(real: pd.DataFrame, runs: Sequence[Run]) -> list[str]:
    """How much faster than random order the other policies ran."""
    by_policy = real.groupby("policy", sort=False)["seconds"].mean()
    if "random" not in by_policy:
        return []
    others = [
        f"{str(policy).replace('_', ' ')} {by_policy['random'] / seconds:.2f} times as fast"
        for policy, seconds in by_policy.items()
        if policy != "random"
    ]
    if not others:
        return []
    seeds = count(len({run.spec.seed for run in runs}), "seed")
    return [f"Runs, against random order (means over {seeds}): {', '.join(others)}."]


def summary(gaps: pd.DataFrame) -> pd.DataFrame:
    """Ratios by workload and policy, as a reader wants them."""
    return gaps.pivot_table(
        index=["workload", "evidence", "policy"], columns="per_worker", values="ratio", sort=False
    )
