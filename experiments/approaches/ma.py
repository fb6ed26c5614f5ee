"""MA: model averaging inside the database, the paper's baseline (paper, §5; MADlib's ``fit``).

Each configuration in turn is trained on all segments at once, from the same state, by one shipped
statement per epoch; then the average by rows of what the segments learned is taken in the database,
and the next epoch starts from it everywhere. What is averaged: :mod:`experiments.models.averaging`.

Told ``hop_epochs`` it hops for so many epochs first, as UDAF does: the hybrid of the release's
notebook, in which averaging takes over from Model Hopper Parallelism (Cerebro, CIDR 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from experiments.approaches import calling, udaf
from experiments.approaches.base import Trait
from experiments.errors import SpecError
from experiments.models.worker import spans_of
from experiments.mop.idle import Timeline
from experiments.mop.progress import Progress, Score
from experiments.mop.unit import Kind
from experiments.telemetry.journal import Journal, read
from experiments.warehouse.call import Call, Message
from experiments.warehouse.record import Step


class Approach(calling.CallingApproach):
    """The approach as the driver runs it."""

    traits: ClassVar[frozenset[Trait]] = frozenset({Trait.AVERAGES})

    def train(self) -> None:
        """Call, and journal what the database says until all configurations are done.

        A grid is one call, and one before it where it hops first; a search is one for each turn,
        since it waits for the turn's result.

        Raises
        ------
        SpecError
            It is to hop in a search, or for more epochs than there are.
        """
        context, spec = self.context, self.context.spec
        hops = spec.settings.get("hop_epochs", 0)
        if not 0 <= hops <= (0 if context.search else spec.epochs):
            raise SpecError(f"hop_epochs = {hops}: 0 to {spec.epochs}, and 0 in a search")
        rounds = udaf.rounds_of(context, hops)
        averages = not rounds
        known = calling.known_steps(context.history)

        def job() -> dict[str, Any]:
            return calling.fit_job(context, rounds, known, averages=averages, hop_epochs=hops)

        self.call = Call(self.cluster, job)
        if rounds:
            calling.catch_up(self.call, context.journal, known)
            udaf.run_rounds(*udaf.follow(context, self.call, known), rounds)
            averages = True
        if context.search is None:
            rounds += [_round(turn) for turn in context.turns() if turn.epoch > hops]
        calling.catch_up(self.call, context.journal, known)
        progress = Progress(context.models, spec.workers)
        progress.read(read(context.journal.path))
        self._hear(self.call, rounds, progress, known)
        for turn in context.turns() if context.search else ():
            rounds.append(_round(turn))
            calling.catch_up(self.call, context.journal, known)
            self._hear(self.call, rounds, progress, known)
        calling.keep_states(context, self.cluster)

    def _hear(
        self, call: Call, rounds: list[calling.Round], progress: Progress, known: set[Step]
    ) -> None:
        """Journal a call until it is done; what is finished is struck from ``rounds``."""
        while rounds:
            ((model, epoch),) = rounds[0]["entries"]
            turn = _Turn(self.context.journal, progress, self.context.evaluations, model, epoch)
            while not turn.over:
                message = call.receive()
                if message is None:
                    raise calling.ended_early()
                if message["event"] == "finished":
                    known.add(calling.step_of(message))
                turn.take(message)
            rounds.pop(0)
        while call.receive() is not None:
            pass


def _round(turn: tuple[int, int]) -> calling.Round:
    """One configuration's epoch."""
    return calling.round_of(turn[1], [turn])


class _Turn:
    """One configuration's epoch in the journal."""

    def __init__(
        self,
        journal: Journal,
        progress: Progress,
        evaluations: Sequence[Kind],
        model: int,
        epoch: int,
    ) -> None:
        self.over = False
        self._journal = journal
        self._evaluations = evaluations
        self._progress = progress
        self._model = model
        self._epoch = epoch
        self._timeline: Timeline | None = None
        self._started: dict[Step, int] = {}

    def take(self, message: Message) -> None:
        """Journal what a message says."""
        event, now = message["event"], int(message["at"])
        if event == "prepared":
            calling.journal_prepared(self._journal, message)
        elif event == "round" and self._timeline is None:
            self._timeline = Timeline(self._progress.workers, now)
            self._journal.append("epoch_started", model=self._model, epoch=self._epoch)
        elif event == "started":
            for step in calling.steps_of(message):
                self._start(step, now)
        elif event == "finished":
            self._finish(calling.step_of(message), message, now)
        elif event == "round_finished":
            self._end(now)

    def _start(self, step: Step, now: int) -> None:
        """A step that is under way already is one that a call after a crash does again."""
        if step not in self._started:
            self._started[step] = now
            calling.journal_started(self._journal, step)

    def _finish(self, step: Step, message: Message, now: int) -> None:
        self._start(step, now)
        if self._timeline is not None:
            spans = spans_of(message["report"])
            gaps = self._timeline.cover(step.partition, spans, self._started[step], now)
            for gap in gaps:
                self._journal.span(gap, worker=step.partition, model=step.model, epoch=step.epoch)
        calling.journal_finished(self._journal, message, self._started[step])
        for kind in self._evaluations:
            if kind == step.kind:
                score = Score.of(calling.result_of(message))
                self._progress.note_scored(calling.unit_of(step), kind, score)

    def _end(self, now: int) -> None:
        if self._timeline is None:
            return
        for worker, gap in self._timeline.close(now):
            self._journal.span(gap, worker=worker, model=self._model, epoch=self._epoch)
        for kind in self._evaluations:
            self._progress.mark_evaluated(self._journal, self._model, self._epoch, kind)
        self._journal.append("epoch_finished", model=self._model, epoch=self._epoch)
        self.over = True
