"""Direct Access, the part of the driver: workers that read their own segment's page files.

The paper's DA (§4): rows stay in the database's own files, and what trains on them is not the
database. Its ETL is that of the in-database approaches, and then reading.
"""

from __future__ import annotations

from typing import Protocol

from experiments.approaches import in_database
from experiments.approaches.base import RunContext
from experiments.approaches.hopping import HoppingExecutor
from experiments.approaches.page_shard import PageShard
from experiments.models.worker import Report


class Readers(Protocol):
    """Worker processes that have a shard each."""

    def load(self, worker: int) -> Report:
        """Have a worker import what reading takes."""

    def ready(self, worker: int) -> Report:
        """Have a worker read its shard, which does nothing more when it has."""


def page_shards(context: RunContext) -> list[PageShard]:
    """Every worker's shard: its own segment's packed tables.

    What an installation compiles once is compiled here, before the ETL, of which it is no part.
    """
    content = context.dataset.fingerprint
    shards = [PageShard(context.topology, each, content) for each in range(context.spec.workers)]
    shards[0].load()
    return shards


def prepare(context: RunContext, executor: HoppingExecutor, readers: Readers) -> None:
    """Load and pack, then have all workers read at once: ``etl.read`` of each.

    A mark ``shard_read`` for each worker tells the bytes that it holds from those of its tables'
    files. Errors as of :func:`in_database.prepare`.
    """
    loading = executor.begin(readers.load)  # while the database loads and packs
    in_database.prepare(context, in_database.cluster_of(context.topology))
    executor.end(loading)
    for worker, report in enumerate(executor.everywhere(readers.ready)):
        context.journal.append("shard_read", worker=worker, **report["held"])
