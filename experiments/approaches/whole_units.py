"""Units on the whole data set in a run's journal: their marks name a worker and no partition."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from experiments.approaches.base import RunContext
from experiments.models.worker import SPLIT_OF
from experiments.mop.idle import Timeline
from experiments.mop.progress import Score
from experiments.mop.unit import Kind, UnitResult
from experiments.telemetry.journal import Event

_FINISHED = "unit_finished"


class WholeUnits:
    """Writes the journal of a run whose models are each trained by one worker at a time.

    Attributes
    ----------
    done : finished units of each model: a training and its evaluations for each epoch, in turn.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._journal = context.journal
        self._begun: set[tuple[int, int]] = set()
        self._timeline = Timeline(context.spec.workers, time.monotonic_ns())
        self.done: Counter[int] = Counter()
        self._read()

    def begin(self, model: int, epoch: int) -> None:
        """Mark that a model's epoch begins, once in each start of the run."""
        if (model, epoch) not in self._begun:
            self._begun.add((model, epoch))
            self._journal.append("epoch_started", model=model, epoch=epoch)

    def started(self, event: Event) -> None:
        """Take over the mark of a unit that a worker has started."""
        self.begin(*_epoch(event))
        self._journal.append("unit_started", **_keys(event), **event.detail)

    def finished(self, event: Event, submitted_ns: int) -> None:
        """Take over the report of a unit, and end the epoch with its evaluation.

        Parameters
        ----------
        submitted_ns : when the worker was given its trial, on this process's clock.
        """
        detail = dict(event.detail)
        result = UnitResult.from_report(detail.pop("report"))
        keys, (model, epoch) = _keys(event), _epoch(event)
        now = time.monotonic_ns()
        gaps = self._timeline.cover(keys["worker"], result.spans, submitted_ns, now)
        for gap in gaps:
            self._journal.span(gap, worker=event.worker, epoch=epoch)
        for span in result.spans:
            self._journal.span(span, **keys)
        self._journal.append(_FINISHED, **keys, **detail, **result.detail())
        self.done[model] += 1
        if detail["kind"] == "train":
            self._context.store.discard(model, below=epoch)
        else:
            Score.of(result).mark(self._journal, model, epoch, detail["kind"])
            self._end_epoch(model, epoch, detail["kind"])

    def lost(self, event: Event, reason: str) -> None:
        """Mark that a started unit was lost with its worker."""
        kind = event.detail["kind"]
        self._journal.append("unit_lost", **_keys(event), kind=kind, reason=reason)

    def failed(self, event: Event, error: str) -> None:
        """Mark that a started unit raised."""
        kind = event.detail["kind"]
        self._journal.append("unit_failed", **_keys(event), kind=kind, error=error)

    def close(self) -> None:
        """Account for the workers' time after their last unit; a search's is of no epoch."""
        epoch = None if self._context.search else self._context.spec.epochs
        for worker, gap in self._timeline.close(time.monotonic_ns()):
            self._journal.span(gap, worker=worker, epoch=epoch)

    def _end_epoch(self, model: int, epoch: int, kind: Kind) -> None:
        if kind == self._context.evaluations[-1]:
            self._journal.append("epoch_finished", model=model, epoch=epoch)

    def _read(self) -> None:
        """Take in the journal of earlier starts, and write what the last one owes an epoch."""
        scores: dict[tuple[int, int, Kind], Score] = {}
        evaluated: set[tuple[int, int, str]] = set()
        over: set[tuple[int, int]] = set()
        for event in self._context.history:
            if event.kind == _FINISHED:
                model, epoch = _epoch(event)
                self.done[model] += 1
                if event.detail["kind"] != "train":
                    scores[model, epoch, event.detail["kind"]] = Score.read(event.detail)
            elif event.kind == "evaluated":
                evaluated.add((*_epoch(event), event.detail["split"]))
            elif event.kind == "epoch_finished":
                over.add(_epoch(event))
        for (model, epoch, kind), score in scores.items():
            if (model, epoch, SPLIT_OF[kind]) not in evaluated:
                score.mark(self._journal, model, epoch, kind)
            if (model, epoch) not in over:
                self._end_epoch(model, epoch, kind)


def _keys(event: Event) -> dict[str, Any]:
    return {"worker": event.worker, "model": event.model, "epoch": event.epoch}


def _epoch(event: Event) -> tuple[int, int]:
    assert event.model is not None
    assert event.epoch is not None
    return event.model, event.epoch
