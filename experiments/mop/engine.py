"""The model hopper: carries out epochs unit by unit, driven by completions, and journals them."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, NoReturn, Protocol

from experiments.errors import (
    DataError,
    InvariantViolation,
    ServerDied,
    SpecError,
    UnitFailed,
    UserError,
)
from experiments.mop import invariants
from experiments.mop.idle import Timeline
from experiments.mop.loop import drive
from experiments.mop.policy import Policy, Sweep
from experiments.mop.pool import Pool
from experiments.mop.progress import Progress, Score
from experiments.mop.state import Board, UnitTimes
from experiments.mop.unit import Executor, Kind, Lost, Outcome, Unit, UnitResult
from experiments.telemetry.journal import Event, Journal, Span, read

REPEATS = 5
"""How often a unit is run again because its worker died; one that keeps killing it is at fault."""


class Store(Protocol):
    """What the engine needs to know of where model states are kept."""

    def has(self, model: int, version: int) -> bool:
        """Whether a version is there."""

    def discard(self, model: int, below: int) -> None:
        """Let go of the versions below one."""


@dataclass
class _Flight:
    """The units under way: when each was submitted, and the reports that come back."""

    submitted_ns: dict[Unit, int] = field(default_factory=dict)
    reports: SimpleQueue[tuple[Unit, Outcome, int]] = field(default_factory=SimpleQueue)

    def land(self) -> tuple[Unit, Outcome, int, int]:
        """Wait for a report: unit, outcome, when it was submitted and when it was reported."""
        unit, outcome, done_ns = self.reports.get()
        if unit not in self.submitted_ns:
            raise InvariantViolation(f"non-preemption: {unit} was reported but was not running")
        return unit, outcome, self.submitted_ns.pop(unit), done_ns


class Engine:
    """Runs epochs of training and evaluation over an executor (Cerebro, PVLDB 13(11), §3).

    For each epoch call :meth:`run_epoch`, then :meth:`evaluate`; an approach that evaluates by
    other means calls :meth:`end_epoch` instead of the latter. What the journal says is finished is
    not done again, so after a crash the same calls go on where they stopped.

    Parameters
    ----------
    models, workers : how many; worker i holds partition i.
    policy : chooses the next unit of training.
    executor : carries units out.
    journal : where every event goes.
    store : holds version 0 of every model before the first epoch.
    history : events of earlier starts of this run; by default what is in the journal's file.
    evaluation : chooses the next unit of evaluation; by default each worker takes all models.
    evaluations : what a model is evaluated on after its epoch, in order, as far as its units of
        training have not ended with that.
    clock : monotonic nanoseconds.
    """

    def __init__(
        self,
        models: int,
        workers: int,
        policy: Policy,
        executor: Executor,
        journal: Journal,
        store: Store,
        *,
        history: Iterable[Event] | None = None,
        evaluation: Policy | None = None,
        evaluations: Sequence[Kind] = ("valid",),
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if models < 1 or workers < 1:
            raise SpecError(f"a run needs models and workers, not {models} and {workers}")
        self._models = models
        self._workers = workers
        self._policy = policy
        self._executor = executor
        self._journal = journal
        self._store = store
        self._sweep = Sweep() if evaluation is None else evaluation
        self._evaluations = evaluations
        self._clock = clock
        self._progress = Progress(models, workers)
        self._progress.read(read(journal.path) if history is None else history)
        self._timeline: tuple[int | None, Timeline] | None = None

    @property
    def versions(self) -> Sequence[int]:
        """Version of each model's latest finished state: the number of its finished units."""
        return tuple(self._progress.versions)

    def run_epoch(self, epoch: int) -> None:
        """Train every model on every partition once, in the order the policy chooses.

        Raises
        ------
        UnitFailed
            A unit failed. No further one was started; those that were running are finished.
        UserError, ServerDied
            A unit failed of something the user can mend, or a worker did not come back; raised as
            it came.
        DataError
            A model state that should be there is not.
        """
        if epoch in self._progress.finished:
            return
        self._open(epoch)
        board = Board(
            epoch,
            self._models,
            self._workers,
            self._policy.arrange(epoch, self._models, self._workers),
            finished=self._progress.trained[epoch],
            times=self._progress.times,
        )
        self._carry_out(board, self._policy, lambda _: "train")

    def evaluate(self, epoch: int) -> None:
        """Evaluate every model's latest state on every partition, then end the epoch.

        Several workers may evaluate one model at a time. Raises what :meth:`run_epoch` and
        :meth:`end_epoch` do.
        """
        if epoch in self._progress.finished:
            return
        self._open(epoch)
        for model in range(self._models):
            self._mark_if_evaluated(epoch, model)
        for kind in self._evaluations:
            self._sweep_models(epoch, kind)
        self.end_epoch(epoch)

    def _sweep_models(self, epoch: int, kind: Kind) -> None:
        board = Board(
            epoch,
            self._models,
            self._workers,
            self._sweep.arrange(epoch, self._models, self._workers),
            finished=self._progress.scored(epoch, kind),
            times=UnitTimes(self._models),
            isolated=False,
        )
        self._carry_out(board, self._sweep, lambda _: kind)

    def end_epoch(self, epoch: int) -> None:
        """Account for idle time, check the invariants on the journal and mark the epoch finished.

        Raises
        ------
        InvariantViolation
            The journal does not show a valid epoch; it is then not marked.
        """
        if epoch in self._progress.finished:
            return
        for worker, gap in self._open(epoch).close(self._clock()):
            self._journal.span(gap, worker=worker, epoch=epoch)
        invariants.check(read(self._journal.path), self._models, self._workers, [epoch])
        self._journal.append("epoch_finished", epoch=epoch)
        self._progress.finished.add(epoch)
        self._timeline = None

    def stream(
        self,
        entries: Iterable[tuple[int, int]],
        evaluated: Callable[[], Iterable[tuple[int, int]]],
    ) -> None:
        """Train and evaluate models each in its own epoch, and others as soon as they are wanted.

        A model's epoch is all of its partitions in training, then all of them in evaluation; there
        is no barrier between models. This is how a search runs.

        Parameters
        ----------
        entries : the (model, epoch) to begin with, or to go on with.
        evaluated : called whenever a model's evaluation is complete and marked; the (model, epoch)
            that come in addition.

        Raises what :meth:`run_epoch` and :meth:`end_epoch` do.
        """
        todo = Pool(self._models, self._workers, self._policy, self._progress.times)
        self._timeline = (None, Timeline(self._workers, self._clock()))
        added: set[tuple[int, int, Kind]] = set()
        done: list[tuple[int, int]] = []

        def begin(model: int, epoch: int) -> None:
            self._require_states([model])
            self._journal.append("epoch_started", model=model, epoch=epoch)
            advance(model, epoch)

        def advance(model: int, epoch: int) -> None:
            kind, finished = self._stage(model, epoch)
            if kind is None:
                self._mark_if_evaluated(epoch, model)
                self._journal.append("epoch_finished", model=model, epoch=epoch)
                done.append((model, epoch))
                for more in evaluated():
                    begin(*more)
            elif (model, epoch, kind) not in added:
                added.add((model, epoch, kind))
                left = [worker for worker in range(self._workers) if worker not in finished]
                todo.add(kind, [Unit(model, worker, epoch) for worker in left])

        for entry in entries:
            begin(*entry)
        self._carry_out(todo, self._policy, todo.kind, lambda unit: advance(unit.model, unit.epoch))
        for worker, gap in self._timeline[1].close(self._clock()):
            self._journal.span(gap, worker=worker)
        self._timeline = None
        invariants.check_each(read(self._journal.path), done, self._workers)

    def _stage(self, model: int, epoch: int) -> tuple[Kind | None, Set[int]]:
        """What a model's epoch is at, None once it is over, and where that is finished already."""
        trained = self._progress.trained_on(model, epoch)
        if len(trained) < self._workers:
            return "train", trained
        for kind in self._evaluations:
            scored = self._progress.scored_on(model, epoch, kind)
            if len(scored) < self._workers:
                return kind, scored
        return None, set()

    def _open(self, epoch: int) -> Timeline:
        if self._timeline is not None and self._timeline[0] == epoch:
            return self._timeline[1]
        timeline = Timeline(self._workers, self._clock())
        self._timeline = (epoch, timeline)
        self._journal.append("epoch_started", epoch=epoch, resumed=epoch in self._progress.opened)
        self._progress.opened.add(epoch)
        return timeline

    def _carry_out(
        self,
        board: Board,
        policy: Policy,
        kind: Callable[[Unit], Kind],
        landed: Callable[[Unit], None] = lambda _: None,
    ) -> None:
        """Run what is on a board; ``landed`` is told of every unit that is finished."""
        self._require_states({unit.model for unit in board.pending})
        flight = _Flight()
        losses: Counter[Unit] = Counter()

        def done(unit: Unit, outcome: Outcome) -> None:
            flight.reports.put((unit, outcome, self._clock()))

        def submit(unit: Unit) -> None:
            self._mark("unit_started", unit, kind=kind(unit))
            flight.submitted_ns[unit] = self._clock()
            self._executor.submit(unit, kind(unit), self._progress.versions[unit.model], done)

        def wait() -> tuple[Unit, float]:
            unit, outcome, submitted_ns, done_ns = flight.land()
            while isinstance(outcome, Lost) and losses[unit] < REPEATS:
                losses[unit] += 1
                self._mark_lost(unit, kind(unit), outcome, submitted_ns, done_ns)
                submit(unit)
                unit, outcome, submitted_ns, done_ns = flight.land()
            if isinstance(outcome, Lost):
                outcome = ServerDied(
                    f"{unit} lost its worker {REPEATS + 1} times: {outcome.reason}"
                )
            if isinstance(outcome, BaseException):
                self._fail(unit, kind, outcome, flight)
            self._record(unit, kind(unit), outcome, submitted_ns, done_ns)
            landed(unit)
            return unit, (done_ns - submitted_ns) / 1e9

        try:
            drive(board, policy, submit, wait)
        except BaseException:
            self._executor.cancel()
            raise

    def _require_states(self, models: Iterable[int]) -> None:
        for model in sorted(models):
            version = self._progress.versions[model]
            if not self._store.has(model, version):
                raise DataError(
                    f"version {version} of model {model} is missing or empty in the model store, "
                    "although the journal says it was saved; run again with --fresh"
                )
            self._store.discard(model, below=version)

    def _record(
        self, unit: Unit, kind: Kind, result: UnitResult, submitted_ns: int, done_ns: int
    ) -> None:
        self._record_idling(unit, result.spans, submitted_ns, done_ns)
        for span in result.spans:
            self._journal.span(span, **_keys(unit))
        version = self._progress.versions[unit.model] + (kind == "train")
        self._mark(
            "unit_finished",
            unit,
            kind=kind,
            version=version,
            seconds=(done_ns - submitted_ns) / 1e9,
            **result.detail(),
        )
        if kind == "train":
            self._progress.note_trained(unit, version)
            self._store.discard(unit.model, below=version)
            for each, found in result.evaluations.items():
                self._progress.note_scored(unit, each, Score.read(found))
        else:
            self._progress.note_scored(unit, kind, Score.of(result))
        self._mark_if_evaluated(unit.epoch, unit.model)

    def _record_idling(
        self, unit: Unit, spans: Sequence[Span], submitted_ns: int, done_ns: int
    ) -> None:
        epoch, timeline = self._line(unit)
        for gap in timeline.cover(unit.worker, spans, submitted_ns, done_ns):
            self._journal.span(gap, worker=unit.worker, epoch=epoch)

    def _line(self, unit: Unit) -> tuple[int | None, Timeline]:
        """The timeline that a unit falls into, and its epoch; a search's belongs to no epoch."""
        if self._timeline is not None and self._timeline[0] is None:
            return self._timeline
        return unit.epoch, self._open(unit.epoch)

    def _mark_if_evaluated(self, epoch: int, model: int) -> None:
        for kind in self._evaluations:
            self._progress.mark_evaluated(self._journal, model, epoch, kind)

    def _fail(
        self, unit: Unit, kind: Callable[[Unit], Kind], error: BaseException, flight: _Flight
    ) -> NoReturn:
        """Keep what the other running units still bring, then raise for the first that failed."""
        self._mark_failed(unit, kind(unit), error)
        while flight.submitted_ns:
            other, outcome, submitted_ns, done_ns = flight.land()
            if isinstance(outcome, BaseException):
                self._mark_failed(other, kind(other), outcome)
            elif isinstance(outcome, Lost):
                self._mark_lost(other, kind(other), outcome, submitted_ns, done_ns)
            else:
                self._record(other, kind(other), outcome, submitted_ns, done_ns)
        if isinstance(error, UserError | ServerDied):
            raise error
        trace = "".join(traceback.format_exception(error)).rstrip()
        raise UnitFailed(
            f"{kind(unit)} of {unit} failed on worker {unit.worker}:\n{trace}"
        ) from error

    def _mark_failed(self, unit: Unit, kind: Kind, error: BaseException) -> None:
        reason = "".join(traceback.format_exception_only(error)).strip()
        self._mark("unit_failed", unit, kind=kind, error=reason)

    def _mark_lost(
        self, unit: Unit, kind: Kind, lost: Lost, submitted_ns: int, done_ns: int
    ) -> None:
        """The spans are the worker's, not the unit's, whose own were lost."""
        self._record_idling(unit, lost.spans, submitted_ns, done_ns)
        for span in lost.spans:
            self._journal.span(span, worker=unit.worker, epoch=unit.epoch)
        self._mark("unit_lost", unit, kind=kind, reason=lost.reason)

    def _mark(self, event: str, unit: Unit, **detail: Any) -> None:
        self._journal.append(event, **_keys(unit), **detail)


def _keys(unit: Unit) -> dict[str, Any]:
    return {
        "worker": unit.worker,
        "model": unit.model,
        "partition": unit.partition,
        "epoch": unit.epoch,
    }
