"""Cerebro-Spark: the published system, cerebro-dl 1.1.1, run as what it is (paper, §3.4 and §5).

The data leave the database: every segment's rows are exported to Parquet, cast and written once
more by the package on Spark. Then the package's grid search, or one that trains what the run's
search asks, trains the models by its own scheduler, in a process of its own environment
(:mod:`experiments.approaches.cerebro_dl_job`). It hops: in an order that its seed shuffles,
optimizer and all, through checkpoint files. What it says is journaled by the code that journals a
database that hops by itself.

It has no fault tolerance, and cannot go on: whatever is interrupted is begun again.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any, ClassVar

from experiments import java
from experiments.approaches import cerebro_dl_job, in_database
from experiments.approaches.base import RunContext, Trait, job
from experiments.approaches.calling import ended_early, journal_prepared
from experiments.approaches.following import Follower, InTheDatabase
from experiments.approaches.other_environment import Job, python_of
from experiments.datasets import SPLITS
from experiments.mop.engine import Engine
from experiments.paths import PACKAGE_ENVIRONMENT
from experiments.search.journaled import Search
from experiments.specs.model import derive_seed
from experiments.telemetry.journal import Span
from experiments.warehouse.unload import unload

SEED_VARIABLE = "CEREBRO_RANDOM_SEED"
"""The package's own; it shuffles the units by it."""


class Approach:
    """The approach as the driver runs it."""

    traits: ClassVar[frozenset[Trait]] = frozenset({Trait.PACKAGE})
    roles: ClassVar[tuple[str, ...]] = ("segment", "coordinator")

    def __init__(self, context: RunContext) -> None:
        # What may be missing is found before any data move.
        python_of(PACKAGE_ENVIRONMENT)
        self._java = java.home()
        self._context = context
        self._cluster = in_database.cluster_of(context.topology)
        self._folder = context.topology.nodes[0].data / PACKAGE_ENVIRONMENT
        self._job: Job | None = None

    def prepare(self) -> None:
        """Load into the database, export to Parquet, cast and prepare on Spark."""
        context = self._context
        in_database.prepare(context, self._cluster, packs=False)
        self._folder.mkdir(parents=True)
        exported: dict[str, list[str]] = {}
        for split in SPLITS:
            start = time.monotonic_ns()
            action = partial(unload, self._cluster, split, self._folder)
            unloaded = in_database.persist(self._cluster, action)
            context.journal.span(Span("etl.export", start, time.monotonic_ns(), unloaded.bytes))
            exported[split] = [str(file) for file in unloaded.files]
        self._job = Job(
            PACKAGE_ENVIRONMENT,
            cerebro_dl_job.__name__,
            self._describe(exported),
            folder=self._folder,
            threads=context.topology.threads,
            settings={SEED_VARIABLE: str(context.spec.seed), java.VARIABLE: str(self._java)},
        )
        while (message := self._job.receive()) is not None:
            if message["event"] == "etl_finished":
                return
            journal_prepared(context.journal, message)
        raise ended_early()

    def train(self) -> None:
        """Listen until all epochs are done and all states saved."""
        context, spec = self._context, self._context.spec
        if self._job is None:
            raise RuntimeError("train() comes after prepare()")
        follower = Follower(self._job, context.journal, set())
        engine = Engine(
            models=context.models,
            workers=spec.workers,
            policy=follower,
            executor=follower,
            journal=context.journal,
            store=InTheDatabase(),
            evaluation=follower,
            clock=follower.clock,
        )
        if context.search is not None:
            self._search(self._job, context.search, engine, follower)
        else:
            for epoch in range(1, spec.epochs + 1):
                follower.begin(epoch)
                engine.run_epoch(epoch)
                engine.evaluate(epoch)
        follower.end()

    def _search(self, job: Job, search: Search, engine: Engine, follower: Follower) -> None:
        """Have the package train what the search asks, with a barrier after each epoch."""
        for number, entries in enumerate(search.rounds(), start=1):
            models = [{"number": model, "job": self._work(model)} for model, _ in entries]
            job.send({"models": models})
            follower.begin(number)
            engine.stream(entries, lambda: ())
        job.send({"models": []})

    def close(self) -> None:
        """End the package's process and all that it started."""
        if self._job is not None:
            self._job.close()

    def _describe(self, exported: dict[str, list[str]]) -> dict[str, Any]:
        context, spec = self._context, self._context.spec
        return {
            "models": [self._work(model) for model in range(len(spec.configs))],
            "epochs": spec.epochs,
            "classes": context.dataset.classes,
            "workers": spec.workers,
            "polling_seconds": spec.settings["polling_seconds"],
            "master": f"local[{spec.workers}]",
            "folder": str(self._folder),
            "exported": exported,
            "states": str(context.store.root),
        }

    def _work(self, model: int) -> dict[str, Any]:
        config = self._context.configs[model]
        seed = derive_seed(self._context.spec.seed, "initial", config.architecture)
        return {**job(config, self._context.dataset), "seed": seed}
