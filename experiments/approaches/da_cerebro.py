"""DA-Cerebro: the model hopper outside the database, on rows from the database's page files.

The paper's Direct Access (§4): catalogs come through SQL, then every worker reads its own segment's
shard. Scheduler and execution are those of Cerebro-Standalone.
"""

from __future__ import annotations

from typing import ClassVar

from experiments.approaches import direct_access, hopping
from experiments.approaches.base import RunContext, Trait
from experiments.approaches.cerebro_standalone import DaskWorkers


class Approach:
    """The approach as the driver runs it."""

    traits: ClassVar[frozenset[Trait]] = frozenset({Trait.HOPS})
    roles: ClassVar[tuple[str, ...]] = ("segment", "coordinator", "worker-scheduler", "worker")

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._remote = DaskWorkers(context, direct_access.page_shards(context))
        self._executor = hopping.HoppingExecutor(context, self._remote)

    def prepare(self) -> None:
        """Load, pack and read."""
        direct_access.prepare(self._context, self._executor, self._remote)

    def train(self) -> None:
        """Hop."""
        hopping.train(self._context, self._executor)

    def close(self) -> None:
        """Stop running units and disconnect."""
        self._executor.cancel()
        self._executor.close()
        self._remote.close()
