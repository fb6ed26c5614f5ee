"""A folder of logs to what its runs were and used: every file once, in constant memory.

First the windows (``global.log``), then what runs wrote, which says when their ETL ended, then the
logs of resources, of which each window takes its part.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from experiments.analysis.release import client, finder, global_log, model_log, samples
from experiments.analysis.release.client import Told
from experiments.analysis.release.events import Intervals
from experiments.analysis.release.finder import Found
from experiments.analysis.release.global_log import Window
from experiments.analysis.release.model_log import EpochMeasures, Task
from experiments.analysis.release.samples import Within
from experiments.analysis.release.text import Account, Advance, read
from experiments.errors import DataError
from experiments.specs.release_logs import Approach, ReleaseLogs

EVIDENCE = "paper logs"
_ABSOLUTE = 1e8
"""Seconds; a scheduler's clock beyond this is not since it began."""

Progress = Callable[[int, int], None]
"""Is told how many bytes were read since it was told last, and how many there are."""


@dataclass
class RunLogs:
    """What one experiment's folder tells.

    Attributes
    ----------
    windows : of ``global.log``, where it was started more than once the last one counts.
    models : measures of every model's log, by the model's number.
    ranks : time between events of each rank of the data-parallel baseline.
    resources : by kind of log and node.
    """

    place: str
    stamp: str
    experiment: str
    approach: Approach | None
    windows: list[Window] = field(default_factory=list)
    told: dict[str, Told] = field(default_factory=dict)
    models: dict[int, list[EpochMeasures]] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    resources: dict[tuple[str, str], Within] = field(default_factory=dict)

    @property
    def name(self) -> str:
        parts = [part for part in (self.place, self.stamp, self.experiment) if part]
        return os.fsencode("/".join(parts)).decode("utf-8", "backslashreplace")

    @property
    def window(self) -> Window | None:
        """The last one that ended; else the last one."""
        ended = [window for window in self.windows if window.end is not None]
        started = ended or self.windows
        return started[-1] if started else None

    @property
    def bare(self) -> bool:
        """Whether only ``global.log`` knows of it."""
        return bool(self.windows) and not (self.told or self.models or self.tasks)

    def first_told(self, order: Sequence[str] = ("client", "scheduler")) -> Iterator[Told]:
        """What the client says, then the scheduler, then whoever else."""
        yield from (self.told[name] for name in order if name in self.told)
        yield from (told for name, told in self.told.items() if name not in order)

    @property
    def etl_s(self) -> float | None:
        """Seconds of the run until its data were where they train, if its logs say so."""
        window, how = self.window, self.approach.etl if self.approach else "none"
        for told in self.first_told():
            if how == "preloaded" and told.preloaded_s is not None:
                return told.preloaded_s if told.preloaded_s < _ABSOLUTE else None
            time = {"training": told.training_from, "loaded": told.loaded}.get(how)
            if time is not None and window is not None:
                return max(0.0, global_log.seconds_between(window.start, time))
        return None

    @property
    def counted(self) -> tuple[str, str] | None:
        """The window of which resources count: without the ETL, where that is known."""
        window = self.window
        if window is None or window.end is None:
            return None
        start = datetime.fromisoformat(window.start) + timedelta(seconds=self.etl_s or 0.0)
        return str(start), window.end


@dataclass(frozen=True)
class Logs:
    """All of a folder.

    Attributes
    ----------
    files : every file with what became of its lines; of those that were not read, no line.
    unreadable : folders that could not be looked into.
    """

    folder: Path
    files: tuple[tuple[Found, Account], ...]
    runs: tuple[RunLogs, ...]
    unreadable: tuple[str, ...]


def read_folder(folder: Path, spec: ReleaseLogs, progress: Progress) -> Logs:
    """Read everything in a folder that is a log of the release's.

    Raises
    ------
    DataError
        The folder is not there, is empty, or holds nothing that is known.
    """
    if not folder.is_dir():
        raise DataError(f"--from-release-logs {folder}: there is no such folder")
    failed: list[str] = []
    found = list(finder.files(folder, lambda error: failed.append(f"{error.filename}: {error}")))
    if not found:
        raise DataError(f"--from-release-logs {folder}: the folder is empty")
    known = [each for each in found if each.kind not in {finder.UNKNOWN, finder.PICKLE}]
    if not known:
        pickles = sum(each.kind == finder.PICKLE for each in found)
        raise DataError(
            f"--from-release-logs {folder}: none of its {len(found)} files is a log of the "
            f"release's ({pickles} are pickles, which are not opened); give the folder that holds "
            "run_logs and cpu_logs, unpacked"
        )
    total = sum(each.bytes for each in known)
    reader = _Reader(folder, spec, lambda done: progress(done, total))
    for step in (reader.windows, reader.runs_own):
        for each in known:
            step(each)
    reader.adopt()
    for each in known:
        reader.resources(each, known)
    files = tuple((each, reader.accounts.get(each.path, Account())) for each in found)
    return Logs(folder, files, tuple(reader.runs.values()), tuple(failed))


def _nearest(place: str, places: set[str]) -> str | None:
    """The innermost of ``places`` that is this place or lies above it."""
    above = [each for each in places if not each or place == each or place.startswith(f"{each}/")]
    return max(above, key=len, default=None)


class _Reader:
    def __init__(self, folder: Path, spec: ReleaseLogs, advance: Advance) -> None:
        self._folder, self._spec, self._advance = folder, spec, advance
        self.accounts: dict[Path, Account] = {}
        self.runs: dict[tuple[str, str, str], RunLogs] = {}

    def windows(self, found: Found) -> None:
        if found.kind == "global":
            lines, account = self._open(found)
            for window in global_log.parse(lines, account):
                self._run(found, window.name).windows.append(window)

    def runs_own(self, found: Found) -> None:
        if found.kind == "events":
            lines, account = self._open(found)
            told = client.parse(lines, account, found.node)
            self._run(found).told[found.node] = told
        elif found.kind == "model":
            lines, account = self._open(found)
            measures = model_log.parse(lines, account)
            if found.node.isdigit():
                self._run(found).models[int(found.node)] = measures
        elif found.kind == "task":
            lines, account = self._open(found)
            task = model_log.parse_task(lines, account)
            if task is not None:
                self._run(found).tasks[found.node] = task

    def adopt(self) -> None:
        """Give a folder without a window the only window of its time stamp without a folder."""
        for run in list(self.runs.values()):
            others = [
                other
                for other in self.runs.values()
                if (other.place, other.stamp) == (run.place, run.stamp) and other.bare
            ]
            if not run.windows and len(others) == 1:
                run.windows = others[0].windows
                del self.runs[run.place, run.stamp, others[0].experiment]

    def resources(self, found: Found, known: Sequence[Found]) -> None:
        if found.kind not in finder.RESOURCES:
            return
        places = {each.place for each in known if each.kind == found.kind}
        mine = [run for run in self.runs.values() if _nearest(run.place, places) == found.place]
        windows = sorted({run.counted for run in mine if run.counted})
        lines, account = self._open(found)
        within = samples.parse(lines, account, found.kind, windows)
        for run in mine:
            if run.counted in within:
                run.resources[found.kind, found.node] = within[run.counted]

    def _run(self, found: Found, experiment: str | None = None) -> RunLogs:
        name = found.experiment if experiment is None else experiment
        key = found.place, found.stamp, name
        if key not in self.runs:
            approach = self._spec.approach_of(found.stamp, name)
            self.runs[key] = RunLogs(*key, approach)
        return self.runs[key]

    def _open(self, found: Found) -> tuple[Iterator[tuple[int, str]], Account]:
        account = self.accounts.setdefault(found.path, Account())
        return self._guarded(found, account), account

    def _guarded(self, found: Found, account: Account) -> Iterator[tuple[int, str]]:
        """The lines of a file; one that becomes unreadable on the way is damaged from there."""
        try:
            yield from read(self._folder / found.path, account, self._advance)
        except OSError as error:
            account.damage(account.lines + 1, f"cannot be read ({error.strerror})", "")


def merged_ranks(run: RunLogs) -> Intervals:
    """Time between the events of all ranks, which log into files of their own."""
    merged = Intervals()
    for node, told in run.told.items():
        if node.startswith("worker"):
            merged.join(told.ranks)
    return merged
