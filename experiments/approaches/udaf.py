"""UDAF: Model Hopper Parallelism fully inside the database (paper, §3.2).

Scheduling, execution, data access and the models' states are all the database's. One ``CALL``
carries out the job: a procedure on the coordinator has the policy, every batch of it is one shipped
statement that trains a model per segment, and states hop from segment to segment. The driver only
listens.
"""

from __future__ import annotations

from typing import Any, ClassVar

from experiments.approaches import calling
from experiments.approaches.base import RunContext, Trait
from experiments.approaches.following import Follower, InTheDatabase
from experiments.mop.engine import Engine
from experiments.telemetry.journal import read
from experiments.warehouse.call import Call
from experiments.warehouse.record import Step


class Approach(calling.CallingApproach):
    """The approach as the driver runs it."""

    traits: ClassVar[frozenset[Trait]] = frozenset({Trait.HOPS})

    def train(self) -> None:
        """Call, and journal what the database says until all epochs are done.

        A grid is one call, a search one for each round: what it has under way is trained for one
        epoch and evaluated, with a barrier after it.
        """
        context, search = self.context, self.context.search
        rounds = [] if search else rounds_of(context, context.spec.epochs)
        known = calling.known_steps(context.history)

        def job() -> dict[str, Any]:
            return calling.fit_job(context, rounds, known, averages=False)

        self.call = Call(self.cluster, job)
        calling.catch_up(self.call, context.journal, known)
        follower, engine = follow(context, self.call, known)
        run_rounds(follower, engine, rounds)
        for number, entries in enumerate(search.rounds() if search else (), start=1):
            rounds[:] = [calling.round_of(number, entries)]
            calling.catch_up(self.call, context.journal, known)
            follower.begin(number)
            engine.stream(entries, lambda: ())
            follower.end()
        calling.keep_states(context, self.cluster)


def rounds_of(context: RunContext, epochs: int) -> list[calling.Round]:
    """All models of a grid in each of the first epochs that are not finished."""
    marked = {event.epoch for event in context.history if event.kind == "epoch_finished"}
    left = [epoch for epoch in range(1, epochs + 1) if epoch not in marked]
    models = range(len(context.spec.configs))
    return [calling.round_of(epoch, ((model, epoch) for model in models)) for epoch in left]


def follow(context: RunContext, call: Call, known: set[Step]) -> tuple[Follower, Engine]:
    """What journals a call that hops."""
    follower = Follower(call, context.journal, known)
    engine = Engine(
        models=context.models,
        workers=context.spec.workers,
        policy=follower,
        executor=follower,
        journal=context.journal,
        store=InTheDatabase(),
        history=read(context.journal.path),
        evaluation=follower,
        evaluations=context.evaluations,
        clock=follower.clock,
    )
    return follower, engine


def run_rounds(follower: Follower, engine: Engine, rounds: list[calling.Round]) -> None:
    """Journal a call's epochs until it is done; what is finished is struck from ``rounds``."""
    while rounds:
        follower.begin(rounds[0]["number"])
        engine.run_epoch(rounds[0]["number"])
        engine.evaluate(rounds[0]["number"])
        rounds.pop(0)
    follower.end()
