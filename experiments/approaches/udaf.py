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
        """Call, and journal what the database says until all epochs are done."""
        context, spec = self.context, self.context.spec
        marked = {event.epoch for event in context.history if event.kind == "epoch_finished"}
        epochs = [epoch for epoch in range(1, spec.epochs + 1) if epoch not in marked]
        known = calling.known_steps(context.history)

        def job() -> dict[str, Any]:
            models = list(range(len(spec.configs)))
            rounds = [{"epoch": epoch, "models": models} for epoch in epochs]
            return calling.fit_job(context, rounds, known, averages=False)

        self.call = Call(self.cluster, job)
        calling.catch_up(self.call, context.journal, known)
        follower = Follower(self.call, context.journal, known)
        engine = Engine(
            models=len(spec.configs),
            workers=spec.workers,
            policy=follower,
            executor=follower,
            journal=context.journal,
            store=InTheDatabase(),
            history=read(context.journal.path),
            evaluation=follower,
            clock=follower.clock,
        )
        while epochs:
            follower.begin(epochs[0])
            engine.run_epoch(epochs[0])
            engine.evaluate(epochs[0])
            epochs.pop(0)
        follower.end()
        calling.keep_states(context, self.cluster)
