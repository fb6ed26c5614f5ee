"""UDAF: Model Hopper Parallelism fully inside the database (paper, §3.2).

Scheduling, execution, data access and the models' states are all the database's. One ``CALL``
carries out the job: a procedure on the coordinator has the policy, every batch of it is one shipped
statement that trains a model per segment, and states hop from segment to segment. The driver only
listens.
"""

from __future__ import annotations

from typing import Any, ClassVar

from experiments.approaches import calling
from experiments.approaches.base import Trait
from experiments.approaches.following import Follower, InTheDatabase
from experiments.mop.engine import Engine
from experiments.telemetry.journal import read
from experiments.warehouse.call import Call


class Approach(calling.CallingApproach):
    """The approach as the driver runs it."""

    traits: ClassVar[frozenset[Trait]] = frozenset({Trait.HOPS})

    def train(self) -> None:
        """Call, and journal what the database says until all epochs are done.

        A grid is one call, a search one for each round: what it has under way is trained for one
        epoch and evaluated, with a barrier after it.
        """
        context, spec, search = self.context, self.context.spec, self.context.search
        marked = {event.epoch for event in context.history if event.kind == "epoch_finished"}
        epochs = [epoch for epoch in range(1, spec.epochs + 1) if epoch not in marked]
        rounds: list[calling.Round] = []
        if search is None:
            models = range(len(spec.configs))
            rounds += [calling.round_of(e, ((model, e) for model in models)) for e in epochs]
        known = calling.known_steps(context.history)

        def job() -> dict[str, Any]:
            return calling.fit_job(context, rounds, known, averages=False)

        self.call = Call(self.cluster, job)
        calling.catch_up(self.call, context.journal, known)
        follower = Follower(self.call, context.journal, known)
        engine = Engine(
            models=context.models,
            workers=spec.workers,
            policy=follower,
            executor=follower,
            journal=context.journal,
            store=InTheDatabase(),
            history=read(context.journal.path),
            evaluation=follower,
            evaluations=context.evaluations,
            clock=follower.clock,
        )
        while rounds:
            follower.begin(rounds[0]["number"])
            engine.run_epoch(rounds[0]["number"])
            engine.evaluate(rounds[0]["number"])
            rounds.pop(0)
        follower.end()
        for number, entries in enumerate(search.rounds() if search else (), start=1):
            rounds[:] = [calling.round_of(number, entries)]
            calling.catch_up(self.call, context.journal, known)
            follower.begin(number)
            engine.stream(entries, lambda: ())
            follower.end()
        calling.keep_states(context, self.cluster)
