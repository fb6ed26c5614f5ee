"""What experiments are doing now, read from the journals that grow below ``artifacts/runs``."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.paths import Artifacts, RunFolder
from experiments.report import run_folders
from experiments.report.live_journal import Watched
from experiments.report.live_resources import Resource, resources
from experiments.report.run_folders import RunSeen

SHOWN_RUNS = 12
"""Runs in the table of progress: those with the latest events."""

LOG_BYTES = 8_000
"""Of the end of a driver's log."""

_CURVE_POINTS = 200
_WIDE, _TALL = 1000.0, 100.0
_GOING_ON_S = 60.0
"""A run that has said something this long ago is taken to be going on."""

FINISHED, GOING_ON, SILENT = "finished", "going on", "not finished, silent"

Expected = Callable[[Path], int | None]
"""How many units the run in a folder has at most, if that can be told."""


@dataclass(frozen=True)
class Progress:
    """One run's row. ``begun`` and ``finished`` count units; ``silent`` is seconds without news."""

    name: str
    state: str
    begun: int
    finished: int
    expected: int | None
    seconds: float
    silent: float
    ended: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Worker:
    """A worker's finished units, as a number and as points of a curve of 1000 by 100."""

    number: int
    units: int
    doing: str
    points: str


@dataclass(frozen=True)
class Shown:
    """The run that the page shows closely."""

    name: str
    seconds: float
    finished: int
    expected: int | None
    workers: tuple[Worker, ...]
    resources: tuple[Resource, ...]
    log: str


@dataclass(frozen=True)
class Live:
    """Everything, at one moment.

    Attributes
    ----------
    planned : names of the runs of the command that serves, if it carries out any.
    more : runs that have no row.
    version : changes when there are results that were not there before.
    """

    runs: tuple[Progress, ...]
    more: int
    shown: Shown | None
    planned: tuple[str, ...]
    planned_done: int
    version: str


class LiveRuns:
    """Follows all runs of an artifacts folder.

    Parameters
    ----------
    expected : how many units a run has at most.
    planned : names of the runs that the same command carries out.
    """

    def __init__(
        self, artifacts: Artifacts, expected: Expected, planned: Sequence[str] = ()
    ) -> None:
        self._artifacts = artifacts
        self._expected = expected
        self._planned = tuple(planned)
        self._watched: dict[str, Watched] = {}

    def look(self) -> Live:
        """What the runs are doing now."""
        folders = _by_news(self._artifacts.runs)
        chosen = [run_folders.one(folder) for folder in folders[:SHOWN_RUNS]]
        now = time.time()
        rows = [self._row(run, now) for run in chosen]
        open_runs = [run for run in chosen if not run.done and not run.fault]
        shown = (open_runs or chosen)[:1]
        return Live(
            runs=tuple(rows),
            more=len(folders) - len(chosen),
            shown=self._show(shown[0], now) if shown else None,
            planned=self._planned,
            planned_done=sum(self._artifacts.run(name).result.exists() for name in self._planned),
            version=_version(self._artifacts, folders),
        )

    def _watch(self, run: RunSeen) -> Watched:
        watched = self._watched.setdefault(run.name, Watched(run.folder))
        watched.look()
        return watched

    def _row(self, run: RunSeen, now: float) -> Progress:
        watched = self._watch(run)
        news = _news(run.folder)
        silent = max(0.0, now - news)
        going_on = GOING_ON if silent < _GOING_ON_S else SILENT
        return Progress(
            name=run.name,
            state=FINISHED if run.done else going_on,
            begun=watched.begun,
            finished=len(watched.done),
            expected=self._expected(run.folder),
            seconds=_seconds(watched, run, now),
            silent=silent,
            ended=run.finished,
            fault=run.fault or watched.fault,
        )

    def _show(self, run: RunSeen, now: float) -> Shown:
        watched = self._watch(run)
        seconds = _seconds(watched, run, now)
        workers = max(run.workers, 1 + max((worker for _, worker in watched.done), default=-1))
        counts = Counter(worker for _, worker in watched.done)
        most = max(counts.values(), default=1)
        return Shown(
            name=run.name,
            seconds=seconds,
            finished=len(watched.done),
            expected=self._expected(run.folder),
            workers=tuple(
                Worker(
                    number,
                    counts[number],
                    _doing(watched, number, now, done=run.done),
                    _points(watched, number, seconds, most),
                )
                for number in range(workers)
            ),
            resources=resources(run.name, RunFolder(run.folder)),
            log=_end(RunFolder(run.folder).log),
        )


def _seconds(watched: Watched, run: RunSeen, now: float) -> float:
    """From a run's first event to its last, or to now while it goes on."""
    if watched.first is None or watched.last is None:
        return 0.0
    silent = now - _news(run.folder)
    end = watched.last if run.done or silent >= _GOING_ON_S else now
    return max(0.0, end - watched.first)


def _doing(watched: Watched, worker: int, now: float, *, done: bool) -> str:
    if done:
        return "done"
    if worker not in watched.busy:
        return "waits"
    what, since = watched.busy[worker]
    return f"{what}, {max(0.0, now - since):.0f} s"


def _points(watched: Watched, worker: int, seconds: float, most: int) -> str:
    """A worker's units over time as steps, thinned to what a screen can show."""
    first = watched.first or 0.0
    own = [wall - first for wall, number in watched.done if number == worker]
    step = max(1, len(own) // _CURVE_POINTS)
    marks = [(0.0, 0)]
    for count, at in enumerate(own, start=1):
        if count % step == 0:
            marks += [(at, marks[-1][1]), (at, count)]
    marks.append((seconds, len(own)))
    return " ".join(
        f"{_WIDE * at / (seconds or 1.0):.1f},{_TALL - 96 * count / most - 2:.1f}"
        for at, count in marks
    )


def _end(log: Path) -> str:
    """The last lines of a log."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return text if size <= LOG_BYTES else text.partition("\n")[2]


def _news(folder: Path) -> float:
    """When a run's journal, log or result last changed, in seconds of the wall clock."""
    names = RunFolder(folder)
    found = [0.0]
    for path in (names.run, names.journal, names.log, names.result):
        with contextlib.suppress(OSError):
            found.append(path.stat().st_mtime)
    return max(found)


def _by_news(runs: Path) -> list[Path]:
    """Folders of runs that have begun, the latest news first."""
    if not runs.is_dir():
        return []
    begun = [path for path in runs.iterdir() if RunFolder(path).run.exists()]
    return sorted(begun, key=lambda path: (-_news(path), path.name))


def _version(artifacts: Artifacts, folders: Sequence[Path]) -> str:
    """A word that differs once a run has begun or ended, or a figure or the verdicts are new."""
    results = [RunFolder(folder).result for folder in folders]
    figures = sorted(artifacts.figures("").glob("*/*.json"))
    times = []
    for path in (*results, *figures, artifacts.verdicts, artifacts.predicted):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime_ns)
    return f"{len(folders)}-{len(times)}-{max(times, default=0)}"
