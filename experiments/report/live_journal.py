"""One run's journal while it grows: units begun and finished, and what each worker does."""

from __future__ import annotations

from pathlib import Path

from experiments.errors import DataError
from experiments.paths import RunFolder
from experiments.telemetry.journal import Event, Tail

_UNITS = ("unit_started", "unit_finished", "unit_lost", "unit_failed")
_KINDS = (*_UNITS, "run_started", "run_finished")
_DOES = {"train": "trains", "valid": "evaluates"}


class Watched:
    """What one run's journal has said so far; reads only what is new.

    A journal that was begun anew (``--fresh``) is read from its start.
    """

    def __init__(self, folder: Path) -> None:
        self._names = RunFolder(folder)
        self._forget()

    def _forget(self) -> None:
        self._tail = Tail(self._names.journal, _KINDS)
        self._seen: tuple[int, int] = (0, 0)
        self.fault = ""
        self.begun = 0
        self.done: list[tuple[float, int]] = []
        self.busy: dict[int, tuple[str, float]] = {}
        self.first: float | None = None
        self.last: float | None = None

    def look(self) -> None:
        """Take in what has come since the last call; a damaged line ends it, with a fault."""
        try:
            status = self._names.journal.stat()
        except OSError:
            return
        inode, size = self._seen
        if inode not in {0, status.st_ino} or status.st_size < size:
            self._forget()
        self._seen = (status.st_ino, status.st_size)
        if self.fault:
            return
        try:
            for event in self._tail.events():
                self._take(event)
        except (DataError, OSError, UnicodeDecodeError) as error:
            self.fault = str(error)

    def _take(self, event: Event) -> None:
        self.first = self.first if self.first is not None else event.wall
        self.last = event.wall
        if event.kind == "run_started":
            self.busy.clear()
        if event.worker is None:
            return
        if event.kind == "unit_started":
            self.begun += 1
            does = _DOES.get(event.detail.get("kind", ""), "evaluates on what it trained on")
            what = f"{does}: model {event.model}, epoch {event.epoch}"
            self.busy[event.worker] = (what, event.wall)
        elif event.kind == "unit_finished":
            self.done.append((event.wall, event.worker))
            self.busy.pop(event.worker, None)
        else:
            self.busy.pop(event.worker, None)
