"""Everything that the page says, read from ``artifacts/`` and the specs, as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments import __version__
from experiments.errors import DataError
from experiments.paths import Artifacts
from experiments.report import figures_seen, foretold, gantts, run_folders, verdicts
from experiments.report.figures_seen import FigureSeen
from experiments.report.foretold import Foretold, Total
from experiments.report.gantts import Gantt
from experiments.report.run_folders import RunSeen
from experiments.report.substitutions import Substitution, substitutions
from experiments.report.verdicts import Judgement
from experiments.specs.load import LeftOut, experiments, left_out


@dataclass(frozen=True)
class Judged(Judgement):
    """The claims, when they were last judged; in ``fault`` why there are none."""

    fault: str = ""


@dataclass(frozen=True)
class Prediction:
    """What the plan expected of this scale's runs; in ``fault`` why there is nothing to compare."""

    runs: tuple[Foretold, ...] = ()
    fault: str = ""

    @property
    def total(self) -> Total:
        """Of the finished runs."""
        return foretold.total(self.runs)


@dataclass(frozen=True)
class NotRun:
    """What the page cannot show, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class PageData:
    """The page's content.

    Attributes
    ----------
    machines : different machines that the scale's runs were carried out on.
    seconds : of all finished runs of the scale, one after the other.
    elapsed : seconds from the first start to the last end of these runs; None without any.
    superseded : finished runs that were done again by a later version, and are not shown.
    """

    scale: str
    made: str
    version: str
    machines: tuple[Mapping[str, Any], ...]
    runtimes: tuple[str, ...]
    seconds: float
    elapsed: float | None
    runs: tuple[RunSeen, ...]
    figures: tuple[FigureSeen, ...]
    judged: Judged
    gantts: tuple[Gantt, ...]
    substitutions: tuple[Substitution, ...]
    not_run: tuple[NotRun, ...]
    left_out: tuple[LeftOut, ...]
    prediction: Prediction
    by_kind: Mapping[str, int] = field(default_factory=dict)
    superseded: int = 0

    @property
    def done(self) -> tuple[RunSeen, ...]:
        return tuple(run for run in self.runs if run.done)

    @property
    def built(self) -> tuple[FigureSeen, ...]:
        return tuple(figure for figure in self.figures if figure.picture)


def gather(scale: str, artifacts: Artifacts, waiting: Mapping[str, str]) -> PageData:
    """Everything that ``artifacts/`` holds of a scale.

    Parameters
    ----------
    waiting : runs that were to be carried out and are not finished, and why they are to be.
    """
    found = [run for run in run_folders.seen(artifacts.runs) if run.scale in {scale, ""}]
    runs, superseded = run_folders.current(found)
    done = [run for run in runs if run.done]
    machines = {str(_machine(run)): _machine(run) for run in done if run.machine}
    return PageData(
        scale=scale,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        machines=tuple(machines.values()),
        runtimes=tuple(dict.fromkeys(run.runtime for run in done if run.runtime)),
        seconds=sum(run.seconds or 0.0 for run in done),
        elapsed=_elapsed(done),
        runs=runs,
        figures=figures_seen.seen(scale, {run.name: run for run in found}, artifacts),
        judged=judged(artifacts.verdicts),
        gantts=tuple(gantts.draw(run) for run in gantts.representative(runs)),
        substitutions=substitutions(),
        not_run=_not_run(runs, waiting),
        left_out=tuple(each for name in experiments() for each in left_out(name, scale)),
        prediction=prediction(artifacts, runs),
        by_kind=Counter(run.evidence for run in done),
        superseded=superseded,
    )


def judged(path: Path) -> Judged:
    """The verdicts that ``--verify`` left."""
    fault = "No claim has been judged yet"
    if path.exists():
        try:
            found = verdicts.read(path)
            return Judged(found.scale, found.made, found.verdicts, found.settings)
        except DataError as error:
            fault = str(error)
    return Judged("", "", (), fault=fault)


def prediction(artifacts: Artifacts, runs: Sequence[RunSeen]) -> Prediction:
    """What the plan expected of each of these runs, beside what it took."""
    names = {run.name for run in runs}
    try:
        found = tuple(row for row in foretold.foretold(artifacts) if row.run in names)
    except DataError as error:
        return Prediction(fault=str(error))
    return Prediction(found, "" if found else "No prediction was made before these runs")


def _not_run(runs: Sequence[RunSeen], waiting: Mapping[str, str]) -> tuple[NotRun, ...]:
    """What began and is not finished, what was to begin, and what has no finished run at all."""
    done = {run.name for run in runs if run.done}
    found = {name: f"to be carried out: {why}" for name, why in waiting.items() if name not in done}
    for run in runs:
        if run.fault:
            found[run.name] = run.fault
        elif not run.done:
            found[run.name] = "begun and not finished; the same command goes on with it"
    tried = {run.experiment for run in runs if run.done}
    found |= {
        f"experiment {row.id}: {row.title}": f"no finished run at this scale; --experiment {row.id}"
        for row in experiments().values()
        if row.id not in tried
    }
    return tuple(NotRun(what, why) for what, why in found.items())


def _machine(run: RunSeen) -> Mapping[str, Any]:
    """A run's machine, with each kind of device once, whatever the number of workers."""
    return {**run.machine, "devices": sorted({*map(str, run.machine.get("devices", ()))})}


def _elapsed(done: Sequence[RunSeen]) -> float | None:
    try:
        starts = [datetime.fromisoformat(run.started) for run in done if run.started]
        ends = [datetime.fromisoformat(run.finished) for run in done]
        return (max(ends) - min(starts)).total_seconds() if starts else None
    except (ValueError, TypeError):
        return None
