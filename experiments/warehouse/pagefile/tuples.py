"""Tuples to values: where each attribute lies (``heap_deform_tuple`` of ``htup_details.h``)."""

from __future__ import annotations

from experiments.warehouse.pagefile import faults, layout, varlena
from experiments.warehouse.pagefile.layout import PageFormat
from experiments.warehouse.pagefile.native import Bytes, Ints, compiled, copy, u8, u16


@compiled
def deform(
    raw: Bytes,
    starts: Ints,
    ends: Ints,
    lengths: Ints,
    alignments: Ints,
    wanted: Ints,
    shape: PageFormat,
    form: Bytes,
    place: Ints,
    stored: Ints,
    expanded: Ints,
    fault: Ints,
) -> None:
    """Find the values of some attributes in every tuple.

    Parameters
    ----------
    raw : pages; tuple i lies in ``raw[starts[i]:ends[i]]``.
    lengths, alignments : per attribute, ``attlen`` (-1 variable, -2 ends with a zero) and the bytes
        of ``attalign``.
    wanted : per attribute, its row in the outputs or -1.
    form : uint8 [wanted, tuples], one of ``varlena``'s.
    place, stored, expanded : int64 [wanted, tuples]: where the value's bytes begin in ``raw``, past
        its header, how many there are, and how many once it is fetched and decompressed.
    fault : as for ``pages.tuples_of_page``; its item is the row.
    """
    for row in range(len(starts)):
        start, end = starts[row], ends[row]
        columns = u16(raw, start + 18) & layout.ATTRIBUTES
        nulls = u16(raw, start + 20) & layout.HAS_NULLS
        base = start + u8(raw, start + 22)
        at = base
        for column in range(len(lengths)):
            slot = wanted[column]
            if column >= columns:
                if slot >= 0:
                    form[slot, row] = varlena.MISSING
                continue
            if nulls and not raw[start + layout.TUPLE_HEADER + (column >> 3)] >> (column & 7) & 1:
                if slot >= 0:
                    form[slot, row] = varlena.NULL
                continue
            length = lengths[column]
            mask = alignments[column] - 1
            # A short value is not aligned; padding before any other is zero.
            if length != -1 or at >= end or raw[at] == 0:
                at = base + ((at - base + mask) & ~mask)
            kind, header, whole, size = varlena.PLAIN, 0, length, length
            if at >= end:
                kind = varlena.BROKEN
            elif length == -1:
                kind, header, whole, size = varlena.parse(raw, at, end, shape)
            elif length == -2:
                whole = 1
                while at + whole <= end and raw[at + whole - 1]:
                    whole += 1
                size = whole - 1
            if kind == varlena.BROKEN or at + whole > end:
                fault[0], fault[2] = faults.VALUE, row
                fault[1] = start // shape.page_bytes
                return
            if slot >= 0:
                form[slot, row] = kind
                place[slot, row] = at + header
                stored[slot, row] = whole - header
                expanded[slot, row] = size
            at += whole


@compiled
def gather(raw: Bytes, form: Bytes, place: Ints, size: Ints, offsets: Ints, out: Bytes) -> None:
    """Copy plain values to ``out[offsets[i]:]``; leave the places of others alone."""
    for row in range(len(place)):
        if form[row] == varlena.PLAIN:
            copy(out.ctypes.data + offsets[row], raw.ctypes.data + place[row], size[row])
