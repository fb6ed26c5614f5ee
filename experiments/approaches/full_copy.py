"""A worker's own copy of the whole data set: what task parallelism needs on every worker.

The copies are what makes such a system's storage W times the data's, beside the source (paper,
§5.2.4: 9x with 8 workers).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from experiments.approaches.base import RunContext
from experiments.approaches.parquet_shard import ParquetShard, parquet_shards
from experiments.datasets import SPLITS
from experiments.models.buffers import BufferCache
from experiments.models.worker import Block, Report


@dataclass(frozen=True)
class FullCopy:
    """All partitions of a prepared data set, in order, in Parquet files of one worker's own.

    Attributes
    ----------
    folder : of the copy.
    parts : the partitions; their files lie in ``folder``.
    """

    folder: str
    parts: tuple[ParquetShard, ...]

    def load(self) -> Report:
        """Import what reading takes."""
        return self.parts[0].load()

    def ready(self, cache: BufferCache, check: Callable[[], None]) -> Report:
        """Write the files that are not there; ``etl.cast`` and its bytes if there were any.

        Raises
        ------
        EnvironmentFault
            The disk is full or the folder cannot be written.
        """
        start, moved = time.monotonic_ns(), 0
        for part in self.parts:
            if not all(part.path(split).exists() for split in SPLITS):
                check()
                moved += sum(span[3] for span in part.cast()["spans"])
        if not moved:
            return {"spans": []}
        return {"spans": [["etl.cast", start, time.monotonic_ns(), moved]]}

    def blocks(self, kind: str) -> Generator[Block, None, None]:
        """All rows of a kind of unit, partition after partition, a row group at a time."""
        for part in self.parts:
            yield from part.blocks(kind)


def full_copies(context: RunContext) -> tuple[FullCopy, ...]:
    """Every worker's copy of the run's data set; whichever process takes it must see it."""
    shards, copies = parquet_shards(context), []
    for worker in range(context.spec.workers):
        folder = str(context.store.root / f"copy-{worker}")
        copies.append(FullCopy(folder, tuple(replace(part, folder=folder) for part in shards)))
    return tuple(copies)
