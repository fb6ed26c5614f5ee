"""Values of a batch, put into columns: copied, fetched from TOAST, decompressed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from experiments.warehouse.pagefile import varlena
from experiments.warehouse.pagefile.catalog import FIXED, Column
from experiments.warehouse.pagefile.compression import expand
from experiments.warehouse.pagefile.native import Bytes, Ints
from experiments.warehouse.pagefile.toast import Wanted
from experiments.warehouse.pagefile.tuples import gather
from experiments.warehouse.pagefile.values import Fixed, Mask, Variable

_POINTER_BODY = 16
"""Bytes of ``varatt_external``: raw size, stored size and method, value, TOAST relation."""

Allocate = Callable[[int], Bytes]

_LEAST = 5
"""Bytes of the shortest value out of line: ``va_tcinfo`` and one more."""

_TASKS_PER_THREAD = 4


class BadValue(Exception):
    """A value that is damaged; ``place`` is where in the pages it, or its pointer, lies."""

    def __init__(self, reason: str, place: int) -> None:
        super().__init__(reason)
        self.place = place


@dataclass(frozen=True)
class Found:
    """Where the values of one column lie; the outputs of ``tuples.deform``.

    Attributes
    ----------
    raw : uint8, the pages.
    form, place, stored, expanded : [rows].
    """

    raw: Bytes
    form: Bytes
    place: Ints
    stored: Ints
    expanded: Ints

    def nulls(self, column: Column) -> Mask:
        nulls: Mask = self.form == varlena.NULL
        return nulls if column.default is not None else nulls | (self.form == varlena.MISSING)


def fixed(found: Found, column: Column) -> Fixed:
    """A column of fixed length."""
    values = np.zeros(len(found.form), FIXED[column.kind])
    offsets = np.arange(len(values)) * values.itemsize
    gather(found.raw, found.form, found.place, found.stored, offsets, values.view(np.uint8))
    if column.default is not None:
        default = np.frombuffer(column.default, values.dtype)[0]
        values[found.form == varlena.MISSING] = default
    return Fixed(values, found.nulls(column))


@dataclass(frozen=True)
class _Compressed:
    """Values to expand: arguments of :func:`~experiments.warehouse.pagefile.compression.expand`.

    ``origin`` is where in the pages the values or their pointers lie.
    """

    origin: Ints
    source: Bytes
    place: Ints
    stored: Ints
    out: Bytes
    begin: Ints
    size: Ints

    def parts(self, count: int) -> Iterator[_Compressed]:
        """About ``count`` parts that expand to about as many bytes each."""
        ends = np.cumsum(self.size)
        marks = np.arange(1, count) * (int(ends[-1]) // count)
        edges = np.unique([0, *np.searchsorted(ends, marks), len(ends)]).tolist()
        for start, stop in itertools.pairwise(edges):
            cut = slice(start, stop)
            yield _Compressed(
                self.origin[cut],
                self.source,
                self.place[cut],
                self.stored[cut],
                self.out,
                self.begin[cut],
                self.size[cut],
            )

    def run(self) -> None:
        bad = expand(self.source, self.place, self.stored, self.out, self.begin, self.size)
        if bad >= 0:
            raise BadValue("a compressed value is damaged", int(self.origin[bad]))


@dataclass
class Pending:
    """Columns of variable length whose values are not all in place yet.

    Parameters
    ----------
    toast_oid : of the relation that pointers must name.
    allocate : gives a column's uint8 memory, by its size.
    """

    toast_oid: int
    allocate: Allocate
    _ids: list[Ints] = field(default_factory=list)
    _sizes: list[Ints] = field(default_factory=list)
    _targets: list[Ints] = field(default_factory=list)
    _compressed: list[_Compressed] = field(default_factory=list)

    def add(self, found: Found, column: Column) -> Variable:
        """A column whose inline plain values are in place; the others follow.

        Raises
        ------
        BadValue
            A pointer that cannot be one of this table's.
        """
        offsets = np.zeros(len(found.form) + 1, np.int64)
        np.cumsum(found.expanded, out=offsets[1:])
        data = self.allocate(int(offsets[-1]))
        gather(found.raw, found.form, found.place, found.stored, offsets, data)
        if column.default:
            rows = np.flatnonzero(found.form == varlena.MISSING)
            at = offsets[rows][:, None] + np.arange(len(column.default))
            data[at] = np.frombuffer(column.default, np.uint8)
        rows = np.flatnonzero(found.form == varlena.COMPRESSED)
        if len(rows):
            place, stored = found.place[rows], found.stored[rows]
            begin, size = offsets[rows], found.expanded[rows]
            self._compressed.append(_Compressed(place, found.raw, place, stored, data, begin, size))
        rows = np.flatnonzero(found.form == varlena.EXTERNAL)
        if len(rows):
            self._add_pointers(found, found.place[rows], data, offsets[rows], found.expanded[rows])
        return Variable(offsets, data, found.nulls(column))

    def _add_pointers(
        self, found: Found, origin: Ints, data: Bytes, begin: Ints, size: Ints
    ) -> None:
        bodies = found.raw[origin[:, None] + np.arange(_POINTER_BODY)]
        _, info, ids, relation = bodies.view("<u4").astype(np.int64).T
        stored = info & varlena.SIZE_BITS
        packed = stored < size
        bad = (relation != self.toast_oid) | (stored > size) | (stored < _LEAST)
        if bad.any():
            raise BadValue(
                "a TOAST pointer names another relation or an impossible size",
                int(origin[bad.argmax()]),
            )
        targets = data.ctypes.data + begin
        if packed.any():
            lengths = stored[packed]
            place = np.cumsum(lengths) - lengths
            staging = np.empty(int(lengths.sum()), np.uint8)
            targets[packed] = staging.ctypes.data + place
            self._compressed.append(
                _Compressed(
                    origin[packed], staging, place, lengths, data, begin[packed], size[packed]
                )
            )
        self._ids.append(ids)
        self._sizes.append(stored)
        self._targets.append(targets)

    def wanted(self) -> Wanted | None:
        """What is to be fetched from TOAST, of all columns; None if nothing is."""
        if not self._ids:
            return None
        ids = np.concatenate(self._ids).astype(np.uint32)
        order = np.argsort(ids, kind="stable")
        sizes, targets = np.concatenate(self._sizes), np.concatenate(self._targets)
        return Wanted(ids[order], sizes[order], targets[order])

    def expand(self, pool: ThreadPoolExecutor, threads: int) -> None:
        """Decompress what is compressed, after all has been fetched.

        Raises
        ------
        BadValue
            Compressed bytes that are none.
        """
        parts = [
            part for each in self._compressed for part in each.parts(threads * _TASKS_PER_THREAD)
        ]
        for _ in pool.map(_Compressed.run, parts):
            pass
