"""Where one worker's rows come from, as a worker process sees it; and the plain answer, files.

A shard is a value that travels to the worker. Training does not know which kind it has, so
approaches that differ in it differ in nothing else.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from experiments.approaches.base import RunContext
from experiments.datasets import Partition, PreparedDataset, one_hot
from experiments.models.buffers import BufferCache
from experiments.models.worker import SPLIT_OF, Block, Report, Rows


class Shard(Protocol):
    """One worker's rows of both splits."""

    def load(self) -> Report:
        """Import what reading takes, before there is anything to read."""

    def ready(self, cache: BufferCache, check: Callable[[], None]) -> Report:
        """Bring into this process what is to be there before a unit; does nothing more when it is.

        Parameters
        ----------
        cache : keeps decoded blocks; a unit looks there first, by their keys.
        check : called now and then; what it raises stops this.

        Raises
        ------
        ServerDied
            What the rows come from is gone.
        """

    def blocks(self, kind: str) -> Generator[Block, None, None]:
        """All rows of a kind of unit, in order; after :meth:`ready`. To be closed after use."""


def laps(shard: Shard, kind: str, rows: int) -> Generator[Block, None, None]:
    """So many rows of a shard, from its start again after its end. To be closed after use."""
    while rows:
        with contextlib.closing(shard.blocks(kind)) as blocks:
            for block in blocks:
                part = block._replace(rows=min(block.rows, rows))
                yield part
                rows -= part.rows
                if not rows:
                    return


@dataclass(frozen=True)
class FileShard:
    """A partition of a prepared data set, read from its files block by block.

    Attributes
    ----------
    dataset : folder of the prepared data set.
    block_bytes : of the rows that are read, and cached, at once.
    """

    dataset: str
    partition: int
    block_bytes: int

    def load(self) -> Report:
        """Nothing."""
        return {"spans": []}

    def ready(self, cache: BufferCache, check: Callable[[], None]) -> Report:
        """Nothing: what is not cached is read when it is wanted."""
        return {"spans": []}

    def blocks(self, kind: str) -> Generator[Block, None, None]:
        data = _open(self.dataset)
        split = SPLIT_OF[kind]
        part = data.partition(split, self.partition)
        length = len(part.y)
        size = max(1, self.block_bytes // part.x[0].nbytes)
        for start in range(0, length, size):
            stop = min(start + size, length)
            key = (self.dataset, split, self.partition, start)
            read = functools.partial(_read, part, start, stop, data.classes)
            yield Block(key, read, stop - start)


def file_shards(context: RunContext) -> list[FileShard]:
    """Every worker's shard of the run's data set."""
    folder, size = str(context.dataset.root), context.spec.protocol.buffer_bytes
    return [FileShard(folder, partition, size) for partition in range(context.spec.workers)]


@functools.lru_cache(maxsize=4)
def _open(dataset: str) -> PreparedDataset:
    return PreparedDataset.open(Path(dataset))


def _read(part: Partition, start: int, stop: int, classes: int) -> Rows:
    return np.array(part.x[start:stop]), one_hot(np.array(part.y[start:stop]), classes)
