"""Cerebro-Spark (native): the model hopper over long-running tasks in Spark's executors.

The published package runs its workers as tasks of Spark, polls them, and moves states through a
shared store (paper, §2.3 and §5). This is the same system with our engine: one task a partition,
submitted once and kept, which reads the partition from Spark's Parquet once; steps and answers go
over a connection of the task's own, so nothing is polled and a hop costs no Spark job.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from experiments.approaches import hopping
from experiments.approaches.answers import report_of
from experiments.approaches.base import RunContext, Trait
from experiments.approaches.parquet_shard import parquet_shards
from experiments.approaches.recovery import Recovery
from experiments.approaches.spark_channel import Channel
from experiments.approaches.spark_client import Spark, TaskKeeper
from experiments.errors import EnvironmentFault, ServerDied
from experiments.models.worker import Report, spans_of
from experiments.specs.model import RunSpec
from experiments.specs.secrets import Secrets
from experiments.specs.topology import SPARK_MASTER, SPARK_WORKER
from experiments.telemetry.journal import read

START_SECONDS = 120.0
"""How long executors and their tasks may take to be there."""

TASK_SECONDS = 60.0
"""How long a call waits for a task that was lost and comes again."""


class Approach:
    """The approach as the driver runs it. Spark and its tasks are up when it is made."""

    traits: ClassVar[frozenset[Trait]] = frozenset({Trait.HOPS})
    roles: ClassVar[tuple[str, ...]] = (SPARK_MASTER, SPARK_WORKER)

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._executor: hopping.HoppingExecutor | None = None
        self._remote = SparkTasks(context)

    def prepare(self) -> None:
        """Cast the prepared data set to Spark's Parquet, each task its own partition.

        Files of an earlier start are kept; if its journal does not know of them, they do.
        """
        spec, journal, recovery = self._context.spec, self._context.journal, Recovery()
        journaled = {event.worker for event in read(journal.path) if event.phase == "etl.cast"}

        def cast(worker: int) -> Report:
            return recovery.persist(lambda: self._remote.cast(worker), lambda: None)

        with ThreadPoolExecutor(spec.workers, "cast") as lanes:
            for worker, report in enumerate(lanes.map(cast, range(spec.workers))):
                for span in spans_of(report):
                    if span.bytes:
                        journal.span(span, worker=worker)
                for span in spans_of({"spans": report["kept"]}):
                    if worker not in journaled:
                        journal.append("span", span=span, worker=worker, reused=True)

    def train(self) -> None:
        """Hop."""
        self._executor = hopping.HoppingExecutor(self._context, self._remote)
        hopping.train(self._context, self._executor)

    def close(self) -> None:
        """Stop running units, end the tasks and the application."""
        if self._executor is not None:
            self._executor.cancel()
            self._executor.close()
        self._remote.close()


class SparkTasks:
    """Steps as messages to tasks, worker k's task holding partition k; a :class:`hopping.Remote`.

    Raises
    ------
    UserError
        Spark cannot be used as it is.
    ServerDied
        The cluster does not take the application.
    """

    def __init__(self, context: RunContext) -> None:
        topology, spec = context.topology, context.spec
        shards = parquet_shards(context)
        self._spark = Spark(topology, context.store.root.name, spec.spark_master)
        try:
            Recovery().persist(self._spark.context, self._spark.context)
            self._channel = Channel(self._spark.host, Secrets(topology.secrets), spec.workers)
            self._keeper = TaskKeeper(self._spark, self._channel.place, shards)
            self._await_tasks(spec)
        except BaseException:
            self._spark.stop()
            raise

    def _await_tasks(self, spec: RunSpec) -> None:
        """Executors are up before anything is timed, as the servers of other approaches are."""
        try:
            for worker in range(spec.workers):
                self._channel.wait(worker, START_SECONDS)
        except ServerDied as died:
            text = f"{died} after {START_SECONDS:g} s ({self._keeper.reason or 'no executor came'})"
            if spec.spark_master:
                raise EnvironmentFault(
                    f"{text}: {spec.spark_master} must have {spec.workers} cores and their memory "
                    "free, and see this checkout and the state folder"
                ) from None
            raise ServerDied(text) from None

    def cast(self, worker: int) -> Report:
        """Write the worker's partition as Parquet."""
        return self._step(worker, "cast")

    def warm(self, worker: int, job: Mapping[str, Any]) -> Report:
        return self._step(worker, "warm", job)

    def create(self, worker: int, job: Mapping[str, Any], target: str) -> Report:
        return self._step(worker, "create", job, target)

    def unit(
        self, worker: int, kind: str, job: Mapping[str, Any], source: str, target: str | None
    ) -> Report:
        return self._step(worker, "unit", kind, job, source, target, patience=0.0)

    def cancel(self) -> None:
        """Stop running units before their next batch, and do not wait for any."""
        self._channel.cancel()

    def close(self) -> None:
        """End the tasks and the application."""
        self._keeper.stop()
        self._channel.close()
        self._spark.stop()

    def _step(
        self, worker: int, step: str, *arguments: Any, patience: float = TASK_SECONDS
    ) -> Report:
        try:
            answer = self._channel.call(worker, {"step": step, "arguments": arguments}, patience)
        except ServerDied as died:
            reason = self._keeper.reason
            raise type(died)(f"{died}{f' ({reason})' if reason else ''}") from None
        return report_of(answer)
