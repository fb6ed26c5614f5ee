"""PyTorchDDP: data-parallel training on Dask workers that read their partitions from files.

The paper's baseline outside the database (§5; original release, §2.9): one model configuration
after the other is trained by all workers at once, each a rank with its own partition. The model is
the same Keras definition on torch; its state lies in the model store between epochs.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from experiments.approaches import data_parallel, hopping, partition_files, shard
from experiments.approaches.base import RunContext, Trait
from experiments.approaches.cerebro_standalone import DaskWorkers
from experiments.approaches.shard import Shard
from experiments.models.process_group import Group
from experiments.models.steps import DDP
from experiments.models.worker import TRAIN, Report


class Approach:
    """The approach as the driver runs it."""

    traits: ClassVar[frozenset[Trait]] = frozenset({Trait.DATA_PARALLEL})
    roles: ClassVar[tuple[str, ...]] = ("worker-scheduler", "worker")

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._remote = RankWorkers(context, self._shards())
        self._executor = hopping.HoppingExecutor(context, self._remote)

    def _shards(self) -> Sequence[Shard]:
        return shard.file_shards(self._context)

    def prepare(self) -> None:
        """Nothing to move: the prepared data set's files are what the workers read."""

    def train(self) -> None:
        """Train one configuration after the other."""
        data_parallel.train(self._context, self._executor, self._remote.regroup)

    def close(self) -> None:
        """Stop running units and disconnect."""
        self._executor.cancel()
        self._executor.close()
        self._remote.close()


class RankWorkers(DaskWorkers):
    """Dask workers as the ranks of one group; implements :class:`hopping.Remote` on torch."""

    def __init__(self, context: RunContext, shards: Sequence[Shard]) -> None:
        super().__init__(context, shards)
        self._spec = context.spec
        self._rows = [context.dataset.rows("train", rank) for rank in range(context.spec.workers)]
        self._folder = context.store.root
        self._name = ""
        self.regroup()

    def regroup(self) -> None:
        """Have the next units of training meet in a new group."""
        self._name = uuid.uuid4().hex

    def warm(self, worker: int, job: Mapping[str, Any]) -> Report:
        return super().warm(worker, {**job, "framework": DDP})

    def create(self, worker: int, job: Mapping[str, Any], target: str) -> Report:
        return super().create(worker, {**job, "framework": DDP}, target)

    def unit(
        self, worker: int, kind: str, job: Mapping[str, Any], source: str, target: str | None
    ) -> Report:
        """Evaluate a partition, or train as one rank; what rank 0 has learned is kept."""
        on_torch = {**job, "framework": DDP}
        if kind != TRAIN:
            return super().unit(worker, kind, on_torch, source, target)
        nodes = self._topology.nodes
        group = Group(self._name, self._folder, worker, len(nodes), nodes[worker].address)
        kept = target if worker == 0 else None
        return self._on(
            worker,
            partition_files.train_rank,
            on_torch,
            self._shards[worker],
            group,
            data_parallel.global_batch(self._spec, job["model"]["batch_size"]),
            self._rows,
            source,
            kept,
        )
