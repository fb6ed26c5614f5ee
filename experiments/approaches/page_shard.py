"""A shard that a worker process reads from the page files of its segment, on the same machine.

As much as the process's cache has room for is read once, into the one copy of it that there is.
What does not fit is read again in every unit, a buffer at a time.

The reader's compiled code is imported where it is used: this module is imported in the driver too.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Hashable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from experiments.approaches.in_database import CONNECT_SECONDS, cluster_of
from experiments.errors import DataError
from experiments.models.buffers import BufferCache
from experiments.models.worker import SPLIT_OF, Block, Report, Rows
from experiments.specs.topology import Topology
from experiments.telemetry.clock import UnitClock

if TYPE_CHECKING:
    from experiments.warehouse.packed_files import Buffer
    from experiments.warehouse.pagefile import Table

TABLES = {"train": "train_packed", "valid": "valid_packed"}
"""The table of each split."""


@dataclass(frozen=True)
class _Read:
    """What this process knows of a table.

    Attributes
    ----------
    buffers : in the order of its pages.
    streamed : how many of them, from the first on, are not held. (To read the last ones, the TOAST
        relation would have to be read from its start all the same.)
    """

    buffers: tuple[Buffer, ...]
    streamed: int
    file_bytes: int

    @property
    def held_bytes(self) -> int:
        return sum(each.bytes for each in self.buffers[self.streamed :])


_tables: dict[Hashable, _Read] = {}
"""Of this process, and of the one cache that it has."""


@dataclass(frozen=True)
class PageShard:
    """See :class:`experiments.approaches.shard.Shard`.

    Attributes
    ----------
    partition : number of the segment and of the worker.
    content : fingerprint of the data set that was packed.
    """

    topology: Topology
    partition: int
    content: str

    def load(self) -> Report:
        """Have the reader's compiled code in this process: ``init``."""
        clock = UnitClock()
        _load_code()
        clock.lap("init")
        return _report(clock)

    def ready(self, cache: BufferCache, check: Callable[[], None]) -> Report:
        """Read what the cache has room for; if that is not all, see that the segment answers.

        Returns
        -------
        A report whose ``held`` says how many ``held_bytes`` of the ``shard_bytes`` are in this
        process, beside the ``file_bytes`` of the tables' files.

        Raises
        ------
        ServerDied
            The segment is gone.
        UserError
            A table is damaged or not as packing makes it, or its files cannot be read here.
        """
        clock = UnitClock()
        for split in TABLES:
            if self._name(split) not in _tables:
                _load_code()
                clock.lap("init")
                before = cache.bytes
                _tables[self._name(split)] = self._read(split, cache, check)
                clock.lap("etl.read", cache.bytes - before)
        known = [_tables[self._name(split)] for split in TABLES]
        if any(each.streamed for each in known):
            self._reach()
        return {
            **_report(clock),
            "held": {
                "held_bytes": sum(each.held_bytes for each in known),
                "shard_bytes": sum(b.bytes for each in known for b in each.buffers),
                "file_bytes": sum(each.file_bytes for each in known),
            },
        }

    def blocks(self, kind: str) -> Generator[Block, None, None]:
        split = SPLIT_OF[kind]
        known = _tables[self._name(split)]
        with _Stream(functools.partial(self._open, split), known) as stream:
            for buffer in sorted(known.buffers, key=lambda each: each.number):
                read = functools.partial(stream.take, buffer.number)
                yield Block(self._key(split, buffer), read, buffer.rows)

    def _name(self, split: str) -> Hashable:
        return self.topology.name, self.content, self.partition, split

    def _key(self, split: str, buffer: Buffer) -> Hashable:
        return self._name(split), buffer.number

    def _read(self, split: str, cache: BufferCache, check: Callable[[], None]) -> _Read:
        """Put a table's last buffers, in the order of its pages, straight into the cache.

        Those that are there already were read by a call that lost its server.
        """
        from experiments.warehouse import packed_files
        from experiments.warehouse.pagefile.table import BATCH_BYTES

        with self._open(split) as table:
            found = packed_files.buffers(table)
            here = [each for each in found if self._key(split, each) in cache]
            room = cache.budget - cache.bytes + sum(each.bytes for each in here)
            streamed = len(found)
            while streamed and found[streamed - 1].bytes <= room:
                streamed -= 1
                room -= found[streamed].bytes
            start = streamed + len(here)
            arena = packed_files.Arena.of(found[start:])
            part = packed_files.rows(table, found, BATCH_BYTES, arena.allocate, start)
            for buffer, rows in part:
                check()
                cache.put(self._key(split, buffer), *rows)
            return _Read(found, streamed, table.file_bytes)

    def _open(self, split: str) -> contextlib.AbstractContextManager[Table]:
        from experiments.warehouse import packed_files

        cluster = cluster_of(self.topology)
        return packed_files.opened(cluster, cluster.segments[self.partition], TABLES[split])

    def _reach(self) -> None:
        cluster = cluster_of(self.topology)
        segment = cluster.segments[self.partition]
        cluster.connect(segment, patience=CONNECT_SECONDS).close()


def _load_code() -> None:
    from experiments.warehouse.pagefile.code import load_code

    load_code()


def _report(clock: UnitClock) -> Report:
    return {"spans": [[s.phase, s.start_ns, s.end_ns, s.bytes] for s in clock.spans()]}


def _fresh(size: int) -> npt.NDArray[np.uint8]:
    return np.empty(size, np.uint8)


class _Stream:
    """A table's buffers that are not held, read in the order of its pages as they are asked for.

    Opened by the first that is asked for: most passes ask for none.
    """

    def __init__(
        self, open_table: Callable[[], contextlib.AbstractContextManager[Table]], known: _Read
    ) -> None:
        self._open = open_table
        self._known = known
        self._stack = ExitStack()
        self._rows: Iterator[tuple[Buffer, Rows]] | None = None
        self._early: dict[int, Rows] = {}

    def take(self, number: int) -> Rows:
        """The rows of a buffer; numbers must ascend from call to call.

        Pages may hold buffers in another order: what comes before its turn waits.
        """
        from experiments.warehouse import packed_files

        if self._rows is None:
            table = self._stack.enter_context(self._open())
            known = self._known
            self._rows = packed_files.rows(table, known.buffers, 1, _fresh, 0, known.streamed)
        self._early = {each: rows for each, rows in self._early.items() if each >= number}
        while number not in self._early:
            buffer, rows = next(self._rows, (None, None))
            if buffer is None or rows is None:
                raise DataError(
                    f"buffer {number} of a packed table is not there any more: give the same "
                    "command with --fresh, which packs it anew"
                )
            if buffer.number >= number:
                self._early[buffer.number] = rows
        return self._early.pop(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
