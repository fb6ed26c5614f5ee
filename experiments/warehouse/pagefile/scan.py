"""A pass over a table: stretches of heap pages become rows, rows become batches of columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from experiments.errors import DataError
from experiments.warehouse.pagefile import faults, varlena
from experiments.warehouse.pagefile.catalog import FIXED, Catalog
from experiments.warehouse.pagefile.columns import Allocate, BadValue, Found, Pending, fixed
from experiments.warehouse.pagefile.guard import Guard
from experiments.warehouse.pagefile.native import Bytes, Ints
from experiments.warehouse.pagefile.pages import Horizon, tuples_of_pages
from experiments.warehouse.pagefile.relation import Ranges, RelationFile
from experiments.warehouse.pagefile.snapshot import with_multi
from experiments.warehouse.pagefile.toast import ToastFile
from experiments.warehouse.pagefile.tuples import deform
from experiments.warehouse.pagefile.values import Batch, Fixed, Variable

STRETCH = 1024
"""Heap pages that are taken apart at once."""

ATTEMPTS = 5
T = TypeVar("T")


@dataclass(frozen=True)
class _Rows:
    """Visible rows of a stretch: for every wanted column (first axis), where its values are."""

    first: int
    raw: Bytes
    form: Bytes
    place: Ints
    stored: Ints
    expanded: Ints

    def __len__(self) -> int:
        return int(self.form.shape[1])

    def cuts(self, limit: int, start: int, end: int) -> Iterator[slice]:
        """Rows ``start`` to ``end`` in parts of at most ``limit`` bytes expanded, or of one row."""
        ends = np.cumsum(self.expanded.sum(axis=0))
        while start < end:
            before = int(ends[start - 1]) if start else 0
            stop = max(int(np.searchsorted(ends, before + limit, "right")), start + 1)
            yield slice(start, min(stop, end))
            start = stop

    def column(self, slot: int, part: slice) -> Found:
        cut = (slot, part)
        return Found(
            self.raw, self.form[cut], self.place[cut], self.stored[cut], self.expanded[cut]
        )


class Scan:
    """One pass. See :meth:`experiments.warehouse.pagefile.table.Table.scan`."""

    def __init__(
        self,
        catalog: Catalog,
        guard: Guard,
        horizon: Horizon,
        heap: RelationFile,
        toast: RelationFile | None,
        pool: ThreadPoolExecutor,
        threads: int,
        wanted: Sequence[int],
        allocate: Allocate,
    ) -> None:
        self._catalog = catalog
        self._guard = guard
        self._horizon = horizon
        self._heap = heap
        self._pool = pool
        self._threads = threads
        self._allocate = allocate
        self._columns = [catalog.columns[each] for each in wanted]
        self._toast = None
        if toast is not None:
            checked = catalog.checksums
            self._toast = ToastFile(toast, catalog.shape, checked, pool, threads)
        self._lengths = np.array([each.length for each in catalog.columns], np.int64)
        self._alignments = np.array([each.alignment for each in catalog.columns], np.int64)
        self._wanted = np.full(len(catalog.columns), -1, np.int64)
        self._wanted[list(wanted)] = np.arange(len(wanted))
        self._raw = np.empty(min(STRETCH, heap.blocks) * catalog.shape.page_bytes, np.uint8)

    def batches(self, batch_bytes: int, start: int, stop: int | None) -> Iterator[Batch]:
        """Rows ``start`` to ``stop``, in batches."""
        passed = 0
        for first in range(0, self._heap.blocks, STRETCH):
            if stop is not None and passed >= stop:
                return
            rows = self._rows(first)
            end = len(rows) if stop is None else min(len(rows), stop - passed)
            for part in rows.cuts(batch_bytes, max(start - passed, 0), end):
                yield self._batch(rows, part)
            passed += len(rows)

    def _settled(self, action: Callable[[], T], touched: Ranges) -> T:
        """What ``action`` gives once the blocks that it ``touched`` hold still.

        A page that is being written looks damaged or changed; after another checkpoint it does
        not, unless it is.
        """
        left = ATTEMPTS
        while True:
            touched.clear()
            try:
                result = action()
                if self._guard.settled(touched):
                    return result
                problem = DataError(
                    f"{self._heap.path}: table {self._catalog.table} is written faster than it "
                    "can be read: read it again when its writers rest"
                )
            except faults.Fault as fault:
                if fault.code == faults.MULTI and self._learn(fault.item):
                    continue
                problem = fault
            except DataError as error:
                problem = error
            left -= 1
            if not left:
                raise problem
            self._guard.renew()

    def _learn(self, multi: int) -> bool:
        """Ask the server about a multixact; False if it does not know."""
        updater = self._guard.updater(multi)
        if updater is None:
            return False
        self._horizon = with_multi(self._horizon, multi, updater)
        return True

    def _rows(self, first: int) -> _Rows:
        touched: Ranges = []
        return self._settled(lambda: self._read_rows(first, touched), touched)

    def _read_rows(self, first: int, touched: Ranges) -> _Rows:
        shape = self._catalog.shape
        count = min(STRETCH, self._heap.blocks - first)
        touched.append((self._heap, first, count))
        raw = self._raw[: count * shape.page_bytes]
        self._heap.read(first, raw)
        starts = np.empty(len(raw) // 24, np.int64)
        ends = np.empty_like(starts)
        empty = np.zeros(count, np.uint8)
        fault = np.zeros(3, np.int64)
        found = tuples_of_pages(
            raw,
            first,
            len(self._lengths),
            shape,
            self._catalog.checksums,
            self._horizon,
            starts,
            ends,
            empty,
            fault,
        )
        if fault[0]:
            raise self._heap.fault(fault)
        self._check_empty(first, empty)
        form = np.empty((len(self._columns), found), np.uint8)
        place, stored, expanded = (np.zeros(form.shape, np.int64) for _ in range(3))
        deform(
            raw,
            starts[:found],
            ends[:found],
            self._lengths,
            self._alignments,
            self._wanted,
            shape,
            form,
            place,
            stored,
            expanded,
            fault,
        )
        if fault[0]:
            fault[1] += first
            raise self._heap.fault(fault)
        for slot, column in enumerate(self._columns):
            if column.default is not None:
                expanded[slot][form[slot] == varlena.MISSING] = len(column.default)
        return _Rows(first, raw, form, place, stored, expanded)

    def _check_empty(self, first: int, empty: Bytes) -> None:
        """A page of zeros is one that was never written to, if the server says so too."""
        blocks = np.flatnonzero(empty)
        for run in np.split(blocks, np.flatnonzero(np.diff(blocks) > 1) + 1):
            if len(run):
                start, stop = first + int(run[0]), first + int(run[-1]) + 1
                rows = self._guard.rows_between(self._catalog.table, start, stop)
                if rows:
                    path, block = self._heap.where(start)
                    raise DataError(f"{path}: block {block}: is all zeros but holds {rows} rows")

    def _batch(self, rows: _Rows, part: slice) -> Batch:
        touched: Ranges = []
        columns = self._settled(lambda: self._materialise(rows, part, touched), touched)
        names = [column.name for column in self._columns]
        return Batch(part.stop - part.start, dict(zip(names, columns, strict=True)))

    def _materialise(self, rows: _Rows, part: slice, touched: Ranges) -> list[Fixed | Variable]:
        out: list[Fixed | Variable] = []
        pending = Pending(self._catalog.toast_oid, self._allocate)
        try:
            for slot, column in enumerate(self._columns):
                found = rows.column(slot, part)
                out.append(
                    fixed(found, column) if column.kind in FIXED else pending.add(found, column)
                )
            wanted = pending.wanted()
            if wanted is not None and self._toast is not None:
                self._toast.fetch(wanted, self._horizon, touched)
            pending.expand(self._pool, self._threads)
        except BadValue as problem:
            block = rows.first + problem.place // self._catalog.shape.page_bytes
            path, block = self._heap.where(block)
            raise DataError(f"{path}: block {block}: {problem}") from None
        return out
