"""Cerebro-Standalone: the model hopper over Dask workers that read their partitions from files.

The engine inside the paper's DA approach, on the bare file system (paper, §3.3 and §5): execution,
scheduling and data access all outside the database. Futures are pinned to workers; Dask carries
units out and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from experiments.approaches import hopping, partition_files
from experiments.approaches.base import RunContext, Trait
from experiments.approaches.dask_client import connect, worker_name
from experiments.models.worker import Report


class Approach:
    """The approach as the driver runs it."""

    traits: ClassVar[frozenset[Trait]] = frozenset({Trait.HOPS})
    roles: ClassVar[tuple[str, ...]] = ("worker-scheduler", "worker")

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._remote: DaskWorkers | None = None
        self._executor: hopping.HoppingExecutor | None = None

    def prepare(self) -> None:
        """Nothing to move: the prepared data set's files are what the workers read."""

    def train(self) -> None:
        """Connect to the workers and hop."""
        self._remote = DaskWorkers(connect(self._context.topology), self._context)
        self._executor = hopping.HoppingExecutor(self._context, self._remote)
        hopping.train(self._context, self._executor)

    def close(self) -> None:
        """Stop running units and disconnect."""
        if self._remote is not None:
            self._remote.cancel()
        if self._executor is not None:
            self._executor.close()
        if self._remote is not None:
            self._remote.close()


class DaskWorkers:
    """Steps as futures pinned to workers; implements :class:`hopping.Remote`."""

    def __init__(self, client: Any, context: RunContext) -> None:
        self._client = client
        self._dataset = str(context.dataset.root)

    def warm(self, worker: int, job: Mapping[str, Any]) -> Report:
        return self._on(worker, partition_files.warm, job)

    def create(self, worker: int, job: Mapping[str, Any], target: str) -> Report:
        return self._on(worker, partition_files.create, job, target)

    def unit(
        self, worker: int, kind: str, job: Mapping[str, Any], source: str, target: str | None
    ) -> Report:
        return self._on(
            worker, partition_files.run_unit, kind, job, self._dataset, worker, source, target
        )

    def cancel(self) -> None:
        """Stop running units before their next batch."""
        if self._client.status == "running":
            self._client.run(partition_files.cancel, on_error="ignore")

    def close(self) -> None:
        self._client.close(timeout=2)

    def _on(self, worker: int, function: Any, *arguments: Any) -> Report:
        future = self._client.submit(
            function,
            *arguments,
            workers=[worker_name(worker)],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        report: Report = future.result()
        return report
