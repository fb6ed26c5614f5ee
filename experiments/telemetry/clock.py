"""Time one piece of work by phases, on the monotonic clock of the process that does it."""

from __future__ import annotations

import time

from experiments.telemetry.journal import Span


class UnitClock:
    """Laps that add up to the whole: every moment since :meth:`begin` belongs to one phase.

    Buffers make phases alternate many times within a unit, so a phase's laps are summed and the
    sums laid end to end as one span a phase, in the order in which the phases first came.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self, ago_ns: int = 0) -> None:
        """Forget all laps and start now, or so many nanoseconds ago."""
        self._start = self._mark = time.monotonic_ns() - ago_ns
        self._length: dict[str, int] = {}
        self._bytes: dict[str, int] = {}

    def lap(self, phase: str, moved: int = 0) -> None:
        """The time since the last lap belongs to ``phase``, which moved so many bytes."""
        now = time.monotonic_ns()
        self._length[phase] = self._length.get(phase, 0) + now - self._mark
        self._bytes[phase] = self._bytes.get(phase, 0) + moved
        self._mark = now

    def spans(self) -> list[Span]:
        """One span a phase."""
        spans = []
        start = self._start
        for phase, length in self._length.items():
            spans.append(Span(phase, start, start + length, self._bytes[phase]))
            start += length
        return spans
