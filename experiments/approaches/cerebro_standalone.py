"""Cerebro-Standalone: the model hopper over Dask workers that read their partitions from files.

The engine inside the paper's DA approach, on the bare file system (paper, §3.3 and §5): execution,
scheduling and data access all outside the database. Futures are pinned to workers; Dask carries
units out and decides nothing.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from experiments.approaches import hopping, partition_files, shard
from experiments.approaches.base import RunContext, Trait
from experiments.approaches.dask_client import connect, worker_name
from experiments.approaches.shard import Shard
from experiments.errors import ServerDied
from experiments.models.worker import Report
from experiments.specs.topology import SCHEDULER

CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 2.0
LOOK_SECONDS = 2.0
"""How often a call that waits for its answer looks whether its client is connected."""


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
        self._remote = DaskWorkers(self._context, shard.file_shards(self._context))
        self._executor = hopping.HoppingExecutor(self._context, self._remote)
        hopping.train(self._context, self._executor)

    def close(self) -> None:
        """Stop running units and disconnect."""
        if self._executor is not None:
            self._executor.cancel()
            self._executor.close()
        if self._remote is not None:
            self._remote.close()


class DaskWorkers:
    """Steps as futures pinned to workers; implements :class:`hopping.Remote`.

    All calls share one client, which is replaced when the scheduler has died.

    Parameters
    ----------
    shards : where each worker's rows come from.
    """

    def __init__(self, context: RunContext, shards: Sequence[Shard]) -> None:
        self._topology = context.topology
        self._shards = shards
        self._client: Any = None
        self._cancelled = False
        self._running: set[Any] = set()
        self._lock = threading.Lock()

    def load(self, worker: int) -> Report:
        """Have a worker import what reading its shard takes."""
        return self._on(worker, partition_files.load, self._shards[worker])

    def ready(self, worker: int) -> Report:
        """Have a worker bring its shard into its process, where that is to be done."""
        return self._on(worker, partition_files.ready, self._shards[worker])

    def warm(self, worker: int, job: Mapping[str, Any]) -> Report:
        return self._on(worker, partition_files.warm, job, self._shards[worker])

    def create(self, worker: int, job: Mapping[str, Any], target: str) -> Report:
        return self._on(worker, partition_files.create, job, target)

    def unit(
        self, worker: int, kind: str, job: Mapping[str, Any], source: str, target: str | None
    ) -> Report:
        return self._on(
            worker,
            partition_files.run_unit,
            kind,
            job,
            self._shards[worker],
            source,
            target,
        )

    def cancel(self) -> None:
        """Stop running units before their next batch, and do not wait for any."""
        self._cancelled = True
        client = self._client
        # A scheduler that is gone has taken the running units along.
        with contextlib.suppress(Exception):
            if client is not None and client.status == "running":
                client.run(partition_files.cancel, on_error="ignore")
                client.cancel(list(self._running))

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            _let_go(client)

    def _on(self, worker: int, function: Any, *arguments: Any) -> Report:
        """Run a function on one worker.

        Raises
        ------
        ServerDied
            The worker or the scheduler is gone, or the worker does not come.
        """
        from distributed import KilledWorker
        from distributed.scheduler import NoValidWorkerError

        client = self._connected()
        future = None
        try:
            future = client.submit(
                function,
                *arguments,
                # By its address: a name that is not there now would be taken for that of a host,
                # and once it is there again, any worker on its host would do.
                workers=[self._topology.worker(worker)],
                allow_other_workers=False,
                pure=False,
                retries=0,
            )
            self._running.add(future)
            return _result(client, future)
        except (KilledWorker, NoValidWorkerError) as error:
            raise ServerDied(f"{worker_name(worker)} is gone ({type(error).__name__})") from error
        except Exception as error:
            if self._cancelled or (future is not None and future.status == "error"):
                raise
            self._drop(client)
            raise ServerDied(f"the connection to the {SCHEDULER} is lost ({error})") from error
        finally:
            self._running.discard(future)

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = connect(self._topology, CONNECT_SECONDS)
            return self._client

    def _drop(self, client: Any) -> None:
        """Let go of a client; the first thread that notices does it for all."""
        with self._lock:
            if self._client is not client:
                return
            self._client = None
        _let_go(client)


def _let_go(client: Any) -> None:
    """Close a client; one that broke while it connected raises what broke it, and is closed."""
    try:
        client.close(timeout=CLOSE_SECONDS)
    except Exception:  # noqa: BLE001 - whatever it was, nobody uses this client any more
        client.status = "closed"


def _result(client: Any, future: Any) -> Report:
    """What a future brings.

    A client whose scheduler dies while it connects to it (``distributed`` 2026.8 expects an
    ``OSError`` there and nothing else) stays unconnected, and its futures wait for ever.

    Raises
    ------
    ConnectionError
        The client has been without a scheduler for longer than it would try to connect.
    """
    apart = 0.0
    while apart <= CONNECT_SECONDS:
        try:
            report: Report = future.result(timeout=LOOK_SECONDS)
        except TimeoutError:
            if future.status == "error":  # the task's own
                raise
            apart = 0.0 if client.status == "running" else apart + LOOK_SECONDS
        else:
            return report
    raise ConnectionError(f"not connected for {CONNECT_SECONDS:g} s")
