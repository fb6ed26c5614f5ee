"""The hopper's engine as the journal-keeper of a database that hops by itself.

The procedure in the database has the policy and carries out its batches. To the engine it looks
like a policy and an executor: what the database announces is what the policy chooses next, and what
it reports is what the executor brings back. So a run inside the database is journaled, checked and
resumed by the same code as every other run that hops.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Protocol

from experiments.approaches.calling import (
    ended_early,
    journal_prepared,
    result_of,
    step_of,
    steps_of,
    unit_of,
)
from experiments.errors import ReproduceError
from experiments.mop.state import EpochState
from experiments.mop.unit import Done, Kind, Outcome, Unit
from experiments.telemetry.journal import Journal
from experiments.warehouse.call import Message
from experiments.warehouse.record import Step


class Talking(Protocol):
    """What trains by itself and tells of it; a ``Call`` into the database is one."""

    def receive(self) -> Message | None:
        """The next message, as soon as it is there; None when all is done."""

    def cancel(self) -> None:
        """Stop what runs."""


class Follower:
    """Policy, executor and clock of an engine; waits for the database where the engine waits.

    The clock is the coordinator's, as of the last message: what the engine times are the database's
    own moments and not when this process heard of them.

    Parameters
    ----------
    known : gets every step that the database says is finished.
    """

    name = "following"

    def __init__(self, call: Talking, journal: Journal, known: set[Step]) -> None:
        self._call = call
        self._journal = journal
        self._known = known
        self._now = 0
        self._announced: defaultdict[int, deque[Step]] = defaultdict(deque)
        self._results: dict[Step, Outcome] = {}
        self._done: dict[Step, Callable[[Outcome], None]] = {}
        self._landed: set[Unit] = set()

    def clock(self) -> int:
        """Nanoseconds on the coordinator's monotonic clock."""
        return self._now

    def begin(self, number: int) -> None:
        """Wait until the database begins a round, which in a grid is an epoch."""
        while True:
            message = self._receive()
            if message["event"] == "round" and message["number"] == number:
                return

    def end(self) -> None:
        """Wait until the call is done."""
        while self._call.receive() is not None:
            pass

    def arrange(self, epoch: int, models: int, workers: int) -> Sequence[Unit]:
        """All units; the order is the database's to choose."""
        return [Unit(model, worker, epoch) for model in range(models) for worker in range(workers)]

    def choose(self, state: EpochState) -> Unit | None:
        """The next unit that the database announced; None once a running one has come back."""
        running = set(state.running.values())
        self._landed &= running
        while state.pending or running:
            for worker in state.idle:
                queue = self._announced[worker]
                if queue and queue[0].model not in state.busy:
                    return unit_of(queue[0])
            if self._landed:
                return None
            try:
                self._receive()
            except ReproduceError as error:
                waiting = [step for step in self._done if unit_of(step) in running]
                if not waiting:
                    raise
                for step in waiting:
                    self._land(step, error)
        return None

    def submit(self, unit: Unit, kind: Kind, version: int, done: Done) -> None:
        """Nothing is to be started: the database did."""
        step = self._announced[unit.worker].popleft()
        if step.kind != kind or unit_of(step) != unit:
            raise ReproduceError(f"the database runs {step} where {kind} of {unit} was due")
        self._done[step] = lambda outcome: done(unit, outcome)
        if step in self._results:
            self._land(step, self._results.pop(step))

    def cancel(self) -> None:
        """Stop the call."""
        self._call.cancel()

    def _receive(self) -> Message:
        message = self._call.receive()
        if message is None:
            raise ended_early()
        self._now = max(self._now, int(message["at"]))
        event = message["event"]
        if event == "prepared":
            journal_prepared(self._journal, message)
        elif event == "started":
            for step in steps_of(message):
                self._announce(step)
        elif event == "finished":
            step = step_of(message)
            self._known.add(step)
            if step in self._done:
                self._land(step, result_of(message))
            else:
                self._announce(step)
                self._results[step] = result_of(message)
        return message

    def _announce(self, step: Step) -> None:
        """A step that is already under way is one that a call after a crash does again."""
        if step not in self._done and step not in self._announced[step.partition]:
            self._announced[step.partition].append(step)

    def _land(self, step: Step, outcome: Outcome) -> None:
        self._landed.add(unit_of(step))
        self._done.pop(step)(outcome)


class InTheDatabase:
    """The engine's store, where states are the database's own business."""

    def has(self, model: int, version: int) -> bool:
        """The procedure refuses to go on where a state is missing."""
        return True

    def discard(self, model: int, below: int) -> None:
        """The procedure does, after the commit."""
