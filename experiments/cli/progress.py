"""Progress of runs: one bar per run, one line per worker, time left from the journal's own times.

On a terminal the lines redraw themselves (``rich``); elsewhere plain lines mark what started, what
finished and every tenth of the way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

from experiments.approaches.base import epoch_units
from experiments.report.words import duration
from experiments.runner.plan import PlannedRun
from experiments.search.journaled import assignments_of
from experiments.telemetry.journal import Event

_DONE = {
    "etl.load": "loaded",
    "etl.pack": "packed",
    "etl.export": "exported",
    "etl.cast": "cast",
    "etl.read": "read page files",
    "init": "built models",
}
"""Phases before training, when they are over."""


class Progress:
    """Shows runs as their events come. A context manager; quiet shows nothing."""

    def __init__(self, runs: Sequence[PlannedRun], *, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._live: Live | None = None
        if self._console.is_terminal and not quiet:
            self._bars = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[left]}"),
                TimeElapsedColumn(),
                console=self._console,
            )
            self._live = Live(self._bars, console=self._console, refresh_per_second=4)
        self._since = time.time()
        self._runs = len(runs)
        self._number = 0
        self._tracker: _Tracker | None = None

    def __enter__(self) -> Progress:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.__exit__(kind, value, trace)

    def say(self, line: str) -> None:
        """One line that stays."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def announced(self, run: PlannedRun) -> None:
        """A run's turn has come; says why it is carried out, or that it need not be."""
        self._number += 1
        self.say(f"[{self._number}/{self._runs}] {run.name}: {run.reason}")

    def started(self, run: PlannedRun) -> None:
        """A run begins."""
        self._tracker = _Tracker(run)
        if self._live:
            total = self._tracker.total
            self._task = self._bars.add_task(run.spec.approach, total=total, left="")

    def finished(self, run: PlannedRun, seconds: float) -> None:
        """A run ended well."""
        self._tracker = None
        if self._live:
            self._bars.remove_task(self._task)
            self._live.update(self._bars, refresh=True)
        self.say(f"    {run.spec.approach} done in {duration(seconds)}")

    def watch(self, event: Event) -> None:
        """One event of the run's journal."""
        tracker = self._tracker
        if tracker is None:
            return
        if event.kind == "restarted":
            detail = event.detail
            self.say(f"    {detail['reason']}: restarted")
            return
        tracker.take(event)
        left = f"{duration(tracker.left())} left" if tracker.seconds else "starting"
        if self._live:
            self._bars.update(self._task, completed=tracker.done, left=left)
            self._live.update(Group(self._bars, *(Text(f"    {line}") for line in tracker.lines())))
        elif event.kind == "unit_finished" and tracker.crossed_tenth() and event.wall > self._since:
            self.say(f"    {tracker.done} of {tracker.total} units, {left}")


class _Tracker:
    """What a run has done, from its events."""

    def __init__(self, run: PlannedRun) -> None:
        spec = run.spec
        self._spec = spec
        self._configs = dict(enumerate(spec.configs))
        self._asked = 0
        self.total = self._expected()
        self.done = 0
        self.seconds = 0.0
        self._timed = 0
        self._tenth = 0
        self._busy: dict[int, tuple[str, float]] = {}
        self._doing = "starting"

    def take(self, event: Event) -> None:
        """Count one event."""
        if event.kind == "run_started":
            self._busy.clear()
        elif event.kind == "unit_started" and event.worker is not None and event.model is not None:
            kind = "trains" if event.detail["kind"] == "train" else "evaluates"
            what = f"{kind} {self._configs[event.model].key} (epoch {event.epoch})"
            self._busy[event.worker] = (what, event.wall)
        elif event.kind == "unit_finished" and event.worker is not None:
            self.done += 1
            _, since = self._busy.pop(event.worker, ("", event.wall))
            self.seconds += event.wall - since
            self._timed += 1
        elif event.kind == "asked":
            for assignment in assignments_of(event):
                self._configs[assignment.model] = assignment.config
                self._asked += assignment.stop - assignment.start
            self.total = self._expected()
        elif event.kind in {"unit_lost", "unit_failed"} and event.worker is not None:
            self._busy.pop(event.worker, None)
        elif event.kind == "span" and event.phase in _DONE:
            self._doing = _DONE[event.phase]

    def _expected(self) -> int:
        """Units in all: every epoch trains and evaluates each model on all its partitions.

        What a search has not asked yet counts with all its epochs, though some may be stopped.
        """
        spec = self._spec
        models = len(spec.configs) if spec.search is None else spec.search.trials
        not_asked = max(0, models - len(self._configs)) if spec.search else models
        return epoch_units(spec) * (self._asked + not_asked * spec.epochs)

    def left(self) -> float:
        """Seconds left: the mean unit so far, over all workers."""
        mean = self.seconds / max(1, self._timed)
        return mean * (self.total - self.done) / self._spec.workers

    def lines(self) -> list[str]:
        """One line per worker."""
        if not self._busy and not self.done:
            return [self._doing]
        now = time.time()
        return [
            f"worker {worker}: "
            + (
                f"{self._busy[worker][0]}, {now - self._busy[worker][1]:.0f} s"
                if worker in self._busy
                else "waits"
            )
            for worker in range(self._spec.workers)
        ]

    def crossed_tenth(self) -> bool:
        """Whether another tenth of the units is done since the last time this was true."""
        tenth = 10 * self.done // self.total
        if tenth == self._tenth:
            return False
        self._tenth = tenth
        return True
