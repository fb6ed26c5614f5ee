"""CTQ: Model Hopper Parallelism by concurrent targeted queries (paper, §3.2).

The scheduler is outside the database, execution and data access inside; model states hop through
the model store, a folder shared with the segments.
"""

from __future__ import annotations

from typing import ClassVar

from experiments.approaches import hopping, in_database
from experiments.approaches.base import RunContext, Trait
from experiments.warehouse.targeted import TargetedQueries


class Approach:
    """The approach as the driver runs it."""

    traits: ClassVar[frozenset[Trait]] = frozenset({Trait.HOPS})
    roles: ClassVar[tuple[str, ...]] = ("segment", "coordinator")

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._cluster = in_database.cluster_of(context.topology)
        self._queries: TargetedQueries | None = None
        self._executor: hopping.HoppingExecutor | None = None

    def prepare(self) -> None:
        """Load and pack."""
        in_database.prepare(self._context, self._cluster)

    def train(self) -> None:
        """Open one session per segment and hop."""
        self._queries = TargetedQueries(self._cluster, self._context.dataset.fingerprint)
        self._executor = hopping.HoppingExecutor(self._context, self._queries)
        hopping.train(self._context, self._executor)

    def close(self) -> None:
        """Cancel running queries and close the sessions."""
        if self._executor is not None:
            self._executor.cancel()
            self._executor.close()
        if self._queries is not None:
            self._queries.close()
