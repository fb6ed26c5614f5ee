"""The run journal: one JSON line per event, append-only, one writer.

Every number in a figure is a sum over this file. A line is written with one ``write`` call and
fsynced before :meth:`Journal.append` returns, so after ``kill -9`` the file holds whole events and
at most one torn last line, which :func:`read` skips and :class:`Journal` cuts off before it goes
on. Do not use it for high-rate samples (one fsync per event) or for several writers.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from experiments.errors import DataError
from experiments.files import unwritable

PHASES = (
    "etl.load",
    "etl.pack",
    "etl.export",
    "etl.cast",
    "etl.read",
    "init",
    "rebuild",
    "data_transmission",
    "train",
    "training_pass",
    "valid",
    "model_transmission",
    "merge",
    "idle",
)
"""Phases a span may have; the components of Figure 9B are sums of these and of nothing else."""


def number(value: float) -> float | str:
    """A float as JSON holds it: ``nan``, ``inf`` and ``-inf``, which JSON lacks, as text.

    ``float()`` reads either form back.
    """
    return value if math.isfinite(value) else str(value)


@dataclass(frozen=True)
class Span:
    """A stretch of one worker's time spent in one phase.

    Attributes
    ----------
    phase : one of :data:`PHASES`.
    start_ns, end_ns : monotonic clock of the worker's node, nanoseconds.
    bytes : bytes read, sent or written in this span (0 where the phase moves none).
    """

    phase: str
    start_ns: int
    end_ns: int
    bytes: int = 0

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True)
class Event:
    """One line of the journal.

    ``kind`` is ``span`` (has phase, start_ns, end_ns, bytes), or a mark: ``run_started``,
    ``stage`` (name and seconds of a part of the driver's work), ``shard_read`` (bytes that a worker
    of Direct Access holds), ``server_counters`` (what the database's servers count ``after``
    a stage), ``epoch_started``, ``unit_started``, ``unit_finished``,
    ``unit_failed``, ``unit_lost`` (its worker died and is back; the unit starts again), ``merged``,
    ``evaluated``, ``epoch_finished``, ``asked`` and ``told`` (steps of a search),
    ``run_finished``, ``interrupted``; and in a run's
    ``restarts.jsonl``, ``restarted`` (a role that had died) and ``sampler_lost`` (a run goes on
    without).
    A unit without ``partition`` is one on the whole data set. ``detail`` holds what only this kind
    has.
    """

    kind: str
    run: str
    wall: float
    mono_ns: int
    worker: int | None = None
    model: int | None = None
    partition: int | None = None
    epoch: int | None = None
    phase: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    bytes: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Duration of a span in seconds; 0 for a mark."""
        if self.start_ns is None or self.end_ns is None:
            return 0.0
        return (self.end_ns - self.start_ns) / 1e9


class Journal:
    """Appends events to one file. Not safe for several writers.

    Parameters
    ----------
    path : the file; made if missing, continued (minus a torn last line) if there.
    run : name of the run, written in every line.

    Raises
    ------
    EnvironmentFault
        The file cannot be made.
    """

    def __init__(self, path: Path, run: str) -> None:
        self.path = path
        self.run = run
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise unwritable(path, error) from error
        _cut_torn_line(self._fd)

    def append(
        self,
        kind: str,
        /,
        *,
        worker: int | None = None,
        model: int | None = None,
        partition: int | None = None,
        epoch: int | None = None,
        span: Span | None = None,
        **detail: Any,
    ) -> None:
        """Write one event and fsync it.

        Raises
        ------
        EnvironmentFault
            The disk is full; the file ends with the event before this one.
        """
        line: dict[str, Any] = {
            "kind": kind,
            "run": self.run,
            "wall": time.time(),
            "mono_ns": time.monotonic_ns(),
        }
        keys = {"worker": worker, "model": model, "partition": partition, "epoch": epoch}
        line.update({k: v for k, v in keys.items() if v is not None})
        if span is not None:
            if span.phase not in PHASES:
                raise ValueError(f"unknown phase {span.phase!r}")
            line.update(phase=span.phase, start_ns=span.start_ns, end_ns=span.end_ns)
            if span.bytes:
                line["bytes"] = span.bytes
        if detail:
            line["detail"] = detail
        data = json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        end = os.fstat(self._fd).st_size
        try:
            while data:  # a signal or a nearly full disk may cut a write short
                data = data[os.write(self._fd, data) :]
            os.fsync(self._fd)
        except OSError as error:
            # What comes after half a line would be damage, not a torn end.
            os.ftruncate(self._fd, end)
            raise unwritable(self.path, error) from error

    def span(self, span: Span, **keys: int | None) -> None:
        """Write one span; ``keys`` are worker, model, partition, epoch."""
        self.append("span", span=span, **keys)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Tail:
    """New whole lines of a journal that somebody else writes.

    Parameters
    ----------
    kinds : of events that are wanted; by default all. Other lines are not even parsed.
    """

    def __init__(self, path: Path, kinds: Sequence[str] = ()) -> None:
        self._path = path
        self._starts = tuple(f'{{"kind":"{kind}",'.encode() for kind in kinds)
        self._position = 0
        self._number = 0

    def events(self) -> Iterator[Event]:
        """What has come since the last call."""
        if not self._path.exists():
            return
        with self._path.open("rb") as lines:
            lines.seek(self._position)
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                self._position += len(line)
                self._number += 1
                if not self._starts or line.startswith(self._starts):
                    yield parse(line.decode(), self._path, self._number)


def _cut_torn_line(fd: int) -> None:
    size = os.fstat(fd).st_size
    end = size
    while end > 0:
        start = max(0, end - 4096)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(fd, end)


def parse(line: str, source: Path, number: int) -> Event:
    """One journal line as an event; :class:`DataError` names file and line if it is damaged."""
    try:
        return Event(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise DataError(f"{source}: line {number} is not a journal event ({error})") from None


def read(path: Path) -> Iterator[Event]:
    """All whole events of a journal; a torn last line is skipped.

    Raises
    ------
    DataError
        A line other than the last is damaged; the message names file and line.
    """
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                return
            yield parse(line, path, number)
