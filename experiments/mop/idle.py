"""Workers' timelines: what of an epoch no span covers is idle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.telemetry.journal import Span


@dataclass
class _Line:
    offset_ns: int | None = None
    covered_ns: int = 0


class Timeline:
    """Finds the gaps between the spans of each worker, from an epoch's start to its end.

    Spans carry the clock of their worker's node; the epoch and the times of submission and
    completion carry the driver's. Where a unit's spans do not lie between its submission and its
    completion, the two clocks differ, and the unit's last span is taken to end when its completion
    arrived. Idle spans carry the worker's clock, like all others.

    Parameters
    ----------
    start_ns : start of the epoch on the driver's clock.
    """

    def __init__(self, workers: int, start_ns: int) -> None:
        self._start_ns = start_ns
        self._lines = [_Line() for _ in range(workers)]

    def cover(
        self, worker: int, spans: Sequence[Span], submitted_ns: int, done_ns: int
    ) -> list[Span]:
        """Idle spans before and between the spans of a finished unit."""
        if not spans:
            return []
        ordered = sorted(spans, key=lambda span: span.start_ns)
        line = self._lines[worker]
        if line.offset_ns is None:
            last = max(span.end_ns for span in ordered)
            same_clock = submitted_ns <= ordered[0].start_ns and last <= done_ns
            line.offset_ns = 0 if same_clock else done_ns - last
            line.covered_ns = self._start_ns - line.offset_ns
        gaps: list[Span] = []
        for span in ordered:
            gaps += _gap(line.covered_ns, span.start_ns)
            line.covered_ns = max(line.covered_ns, span.end_ns)
        return gaps

    def close(self, end_ns: int) -> list[tuple[int, Span]]:
        """What is left of each worker's epoch, which ends at ``end_ns`` on the driver's clock."""
        rests: list[tuple[int, Span]] = []
        for worker, line in enumerate(self._lines):
            covered = self._start_ns if line.offset_ns is None else line.covered_ns
            rest = _gap(covered, end_ns - (line.offset_ns or 0))
            rests += [(worker, gap) for gap in rest]
        return rests


def _gap(start_ns: int, end_ns: int) -> list[Span]:
    return [Span("idle", start_ns, end_ns)] if start_ns < end_ns else []
