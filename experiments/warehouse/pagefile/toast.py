"""Values kept out of line: their chunks, from the TOAST relation straight into the final array.

A batch's values usually lie where the last batch's end, so the relation is read forwards, once.
Where each value was met is remembered, for values that are asked for later.
``heaptoast.h`` and ``toast_internals.h`` define chunks: (``chunk_id``, ``chunk_seq``,
``chunk_data``), every one full but a value's last.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from experiments.errors import DataError
from experiments.warehouse.pagefile import faults, layout, varlena
from experiments.warehouse.pagefile.layout import PageFormat
from experiments.warehouse.pagefile.native import (
    Bytes,
    Ints,
    Xids,
    compiled,
    copy,
    fill,
    u8,
    u16,
    u32,
)
from experiments.warehouse.pagefile.pages import Horizon, tuples_of_page
from experiments.warehouse.pagefile.relation import Ranges, RelationFile

STRETCH = 64
"""Pages read at once; they stay in the processor's cache until their chunks are placed."""

COLUMNS = 3


@dataclass(frozen=True)
class Wanted:
    """Values to fetch, sorted by their id.

    Attributes
    ----------
    ids : uint32 ``va_valueid``.
    sizes : int64 bytes as stored.
    targets : int64 addresses that get them; whoever asks keeps the arrays there alive.
    """

    ids: Xids
    sizes: Ints
    targets: Ints


class ToastFile:
    """Fetches values from one TOAST relation.

    Parameters
    ----------
    checked : the cluster keeps page checksums.
    pool : its ``threads`` read and copy.
    """

    def __init__(
        self,
        file: RelationFile,
        shape: PageFormat,
        checked: bool,
        pool: ThreadPoolExecutor,
        threads: int,
    ) -> None:
        self.file = file
        self.shape = shape
        self._checked = checked
        self._pool = pool
        self._threads = threads
        self._thread = threading.local()
        self._next = 0
        self._passed: list[Ints] = []

    def fetch(self, wanted: Wanted, horizon: Horizon, touched: Ranges) -> None:
        """Put the values where they are wanted; the blocks that were read are added to ``touched``.

        Raises
        ------
        DataError
            A page is damaged, or a value's chunks are not all there.
        """
        if len(wanted.ids) == 0:
            return
        if (wanted.ids[1:] == wanted.ids[:-1]).any():
            raise DataError(f"{self.file.path}: two rows point to one value")
        chunks = -(-wanted.sizes // self.shape.chunk_bytes)
        firsts = np.cumsum(chunks) - chunks
        seen = np.zeros(int(chunks.sum()), np.uint8)
        self._read(self._known(wanted.ids), wanted, firsts, seen, horizon, touched)
        per_page = self.shape.page_bytes // self.shape.chunk_bytes
        while self._next < self.file.blocks and (left := int((seen == 0).sum())):
            ahead = max(left // per_page // STRETCH, 1) * STRETCH
            stop = min(self._next + ahead, self.file.blocks)
            self._read(self._shares(self._next, stop), wanted, firsts, seen, horizon, touched)
            self._next = stop
        if not seen.all():
            index = int(np.flatnonzero(seen == 0)[0])
            value = int(np.searchsorted(firsts, index, "right")) - 1
            raise DataError(
                f"{self.file.path}: no block holds chunk {index - firsts[value]} of value "
                f"{wanted.ids[value]}"
            )

    def _known(self, ids: Xids) -> list[tuple[int, int]]:
        """Stretches passed before that hold chunks of these values."""
        if not self._passed:
            return []
        passed = np.concatenate(self._passed)
        self._passed = [passed]
        here = np.isin(passed[:, 0], ids) & (passed[:, 1] < self._next)
        firsts = np.unique(passed[here, 1]).tolist()
        return [(first, min(STRETCH, self.file.blocks - first)) for first in firsts]

    def _shares(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Whole stretches of some blocks, as many to each thread."""
        step = -(-(stop - start) // (STRETCH * self._threads)) * STRETCH
        return [(first, min(step, stop - first)) for first in range(start, stop, step)]

    def _read(
        self,
        ranges: Sequence[tuple[int, int]],
        wanted: Wanted,
        firsts: Ints,
        seen: Bytes,
        horizon: Horizon,
        touched: Ranges,
    ) -> None:
        def one(part: tuple[int, int, int, int]) -> None:
            descriptor, first, count, within = part
            fault = np.zeros(3, np.int64)
            met = np.empty((count * self.shape.page_bytes // 32, 2), np.int64)
            found = read_and_place(
                descriptor,
                within,
                self._buffer(),
                first,
                count,
                self.shape,
                self._checked,
                horizon,
                wanted.ids,
                wanted.sizes,
                wanted.targets,
                firsts,
                seen,
                met,
                fault,
            )
            if fault[0] == faults.CUT:
                raise self.file.short(first, count)
            if fault[0]:
                raise self.file.fault(fault)
            if first >= self._next and found:
                self._passed.append(met[:found].copy())

        touched += [(self.file, first, count) for first, count in ranges]
        parts = [part for each in ranges for part in self.file.parts(*each)]
        for _ in self._pool.map(one, parts):
            pass

    def _buffer(self) -> Bytes:
        if not hasattr(self._thread, "buffer"):
            self._thread.buffer = np.empty(STRETCH * self.shape.page_bytes, np.uint8)
        buffer: Bytes = self._thread.buffer
        return buffer


@compiled
def place(
    raw: Bytes,
    first: int,
    shape: PageFormat,
    checked: bool,
    horizon: Horizon,
    ids: Xids,
    sizes: Ints,
    targets: Ints,
    firsts: Ints,
    seen: Bytes,
    met: Ints,
    fault: Ints,
) -> int:
    """Copy the chunks of some pages to where they belong.

    Parameters
    ----------
    raw, first, shape, checked, horizon, fault : as for
        :func:`~experiments.warehouse.pagefile.pages.tuples_of_pages`.
    ids, sizes, targets : of :class:`Wanted`.
    firsts, seen : value i's chunks are ``seen[firsts[i]:]``, 1 where one has been placed.
    met : filled with the ids that were met, one for each run of chunks.

    Returns
    -------
    How many entries ``met`` has.
    """
    page_bytes = shape.page_bytes
    starts = np.empty(page_bytes // 4, np.int64)
    ends = np.empty(page_bytes // 4, np.int64)
    runs = 0
    last, value = -1, -1
    for index in range(len(raw) // page_bytes):
        base = index * page_bytes
        count = tuples_of_page(
            raw[base : base + page_bytes],
            base,
            first + index,
            COLUMNS,
            shape,
            checked,
            horizon,
            starts,
            ends,
            fault,
        )
        if fault[0]:
            return runs
        for item in range(count):
            start, end = starts[item], ends[item]
            at = start + u8(raw, start + 22)
            fault[2] = item
            form = varlena.BROKEN
            header, size, data = 0, 0, at
            if at + layout.CHUNK_HEADER < end and not u16(raw, start + 20) & layout.HAS_NULLS:
                data = at + layout.CHUNK_HEADER
                form, header, _, size = varlena.parse(raw, data, end, shape)
            if form != varlena.PLAIN:
                fault[0] = faults.VALUE
                return runs
            identity = u32(raw, at)
            if identity != last:
                last = identity
                value = int(np.searchsorted(ids, np.uint32(identity)))
                if value == len(ids) or ids[value] != identity:
                    value = -1
                met[runs] = identity
                runs += 1
            if value < 0:
                continue
            sequence = u32(raw, at + 4)
            offset = sequence * shape.chunk_bytes
            if offset >= sizes[value] or size != min(shape.chunk_bytes, sizes[value] - offset):
                fault[0] = faults.CHUNK
                return runs
            if seen[firsts[value] + sequence]:
                fault[0] = faults.TWICE
                return runs
            seen[firsts[value] + sequence] = 1
            copy(targets[value] + offset, raw.ctypes.data + data + header, size)
    return runs


@compiled
def read_and_place(
    descriptor: int,
    within: int,
    buffer: Bytes,
    first: int,
    count: int,
    shape: PageFormat,
    checked: bool,
    horizon: Horizon,
    ids: Xids,
    sizes: Ints,
    targets: Ints,
    firsts: Ints,
    seen: Bytes,
    met: Ints,
    fault: Ints,
) -> int:
    """:func:`place` for ``count`` blocks from a file's block ``within`` on, a stretch at a time.

    Parameters
    ----------
    buffer : uint8, holds a stretch.
    met : int64 [any, 2], filled with ids and the first block of the stretch that each was met in.

    Returns
    -------
    How many entries ``met`` has.
    """
    found = 0
    ids_met = np.empty(len(buffer) // 32, np.int64)
    start = 0
    while start < count:
        stretch = (first + start) // STRETCH * STRETCH
        pages = min(stretch + STRETCH - first, count) - start
        raw = buffer[: pages * shape.page_bytes]
        if not fill(descriptor, (within + start) * shape.page_bytes, raw):
            fault[0] = faults.CUT
            return found
        runs = place(
            raw,
            first + start,
            shape,
            checked,
            horizon,
            ids,
            sizes,
            targets,
            firsts,
            seen,
            ids_met,
            fault,
        )
        if fault[0]:
            return found
        for run in range(runs):
            met[found] = ids_met[run], stretch
            found += 1
        start += pages
    return found
