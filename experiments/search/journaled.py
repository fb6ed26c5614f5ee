"""A search in a run's journal: ``asked`` and ``told`` are its whole state.

==========  ========================================================================================
``asked``   ``assignments`` made at once, and how many results had been told by then; one line, so
            that a crash leaves all of them or none
``told``    the result of a model's assignment: its ``loss`` after ``epoch`` epochs, and whether it
            ``diverged``, which ends it early
==========  ========================================================================================

Both carry ``seconds``: what the search itself took since the last of them. Results come out of the
journal too: whoever evaluates marks ``evaluated`` there, as in every run, and need not tell.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from experiments.errors import DataError
from experiments.search import space
from experiments.search.recorded import Step
from experiments.search.searcher import Assignment, Result, Searcher
from experiments.specs.model import ModelConfig
from experiments.telemetry.journal import Event, Journal, Tail, number


class Entry(NamedTuple):
    """What is to be done for a model next: its epoch of that number, training and evaluation."""

    model: int
    epoch: int


class Search:
    """Says what to train, and remembers across restarts.

    Parameters
    ----------
    searcher : fresh; it is given what the journal has.
    journal : of the run; the search reads what others write there.
    """

    def __init__(self, searcher: Searcher, journal: Journal) -> None:
        self._searcher = searcher
        self._journal = journal
        self._tail = Tail(journal.path, ("asked", "told", "evaluated"))
        self._losses: dict[Entry, float] = {}
        self._next: dict[int, Entry] = {}
        self._spent = 0.0
        self._asking = False
        self._read()
        self._warm = threading.Thread(target=searcher.warm, daemon=True)
        self._warm.start()

    @property
    def configs(self) -> Sequence[ModelConfig]:
        """Every configuration drawn so far, by its model's number; any thread may ask."""
        return tuple(self._searcher.drawn)

    @property
    def most(self) -> int:
        """How many configurations are drawn at most."""
        return self._searcher.most

    def architectures(self) -> Sequence[ModelConfig]:
        """A configuration of every architecture in the space, drawn or not."""
        return space.one_of_each_architecture(self._searcher.spec.space)

    def until(self, model: int) -> int:
        """The epoch that a model of :meth:`open` is to be trained to."""
        return self._searcher.under_way[model].stop

    def open(self) -> list[Entry]:
        """What is to be done now, lowest model first, after telling what has been evaluated.

        Free slots are filled first. Empty once the search is over. As long as nothing more is
        evaluated, the answer stays the same.
        """
        start = time.monotonic()
        self._warm.join()
        self._read()
        self._tell_evaluated()
        told = len(self._searcher.told)
        free = self._searcher.spec.concurrency - len(self._searcher.under_way)
        fresh = self._searcher.ask(free)
        if fresh:
            self._spent += time.monotonic() - start
            start = time.monotonic()
            self._asking = True
            assignments = [asdict(assignment) for assignment in fresh]
            self._write("asked", assignments=assignments, told=told)
        self._spent += time.monotonic() - start
        return sorted(self._next.values())

    def rounds(self) -> Iterator[list[Entry]]:
        """What is open, again and again until the search is over; evaluate it before the next."""
        while entries := self.open():
            yield entries

    def _tell_evaluated(self) -> None:
        for model, entry in sorted(self._next.items()):
            stop = self._searcher.under_way[model].stop
            for epoch in range(entry.epoch, stop + 1):
                self._next[model] = Entry(model, epoch)
                loss = self._losses.get(Entry(model, epoch))
                if loss is None:
                    break
                diverged = not math.isfinite(loss)
                if epoch == stop or diverged:
                    told = {"loss": number(loss), "diverged": diverged}
                    self._write("told", model=model, epoch=epoch, **told)
                    break

    def _write(
        self, kind: str, *, model: int | None = None, epoch: int | None = None, **detail: Any
    ) -> None:
        """Journal a step of the search; reading it back is what makes it happen."""
        spent, self._spent = self._spent, 0.0
        self._journal.append(kind, model=model, epoch=epoch, seconds=spent, **detail)
        self._read()

    def _read(self) -> None:
        """Take in what is new in the journal."""
        for event in self._tail.events():
            if event.kind == "asked":
                self._take_asked(event)
            elif event.kind == "told":
                result = result_of(event)
                self._searcher.tell(result)
                del self._next[result.model]
            elif event.kind == "evaluated" and event.detail["split"] == "valid":
                assert event.model is not None
                assert event.epoch is not None
                self._losses[Entry(event.model, event.epoch)] = float(event.detail["loss"])

    def _take_asked(self, event: Event) -> None:
        """The searcher knows what it has just been asked; of an earlier start it has to be told."""
        for assignment in assignments_of(event):
            if not self._asking:
                self._searcher.remember(assignment)
            self._next[assignment.model] = Entry(assignment.model, assignment.start + 1)
        self._asking = False


def assignments_of(event: Event) -> Iterator[Assignment]:
    """The assignments of an ``asked`` event."""
    for each in event.detail["assignments"]:
        yield Assignment(**{**each, "config": ModelConfig(**each["config"])})


def result_of(event: Event) -> Result:
    """The result of a ``told`` event."""
    if event.model is None or event.epoch is None:
        raise DataError(f"the journal of run {event.run} has a told that names no model")
    return Result(event.model, event.epoch, float(event.detail["loss"]))


def steps(events: Iterable[Event]) -> list[Step]:
    """The sequence of a recorded search: every assignment with what was known when it was asked."""
    return [
        Step(assignment, int(event.detail["told"]))
        for event in events
        if event.kind == "asked"
        for assignment in assignments_of(event)
    ]


def drawn(events: Iterable[Event]) -> Mapping[int, ModelConfig]:
    """Every configuration that a journal's search has drawn, by model."""
    return {step.assignment.model: step.assignment.config for step in steps(events)}
