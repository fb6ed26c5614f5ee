"""Headers of variable-length values (``varatt.h``), little-endian: the only place that reads them.

A value starts with one byte whose lowest bit says *short* (length in the other seven bits, at most
126 bytes of data), or with four bytes whose two lowest bits say *plain* or *compressed*. The byte
0x01, a short header of no length, starts a pointer to the TOAST relation.
"""

from __future__ import annotations

from experiments.warehouse.pagefile.layout import PageFormat
from experiments.warehouse.pagefile.native import Bytes, inlined, u8, u32

NULL, MISSING, PLAIN, COMPRESSED, EXTERNAL, BROKEN = range(6)
"""How a value is kept: not at all, not in a tuple older than its column, or in which form."""

SIZE_BITS = 0x3FFFFFFF
"""``VARLENA_EXTSIZE_MASK``; the two bits above it name the compression method."""


@inlined
def parse(data: Bytes, at: int, end: int, shape: PageFormat) -> tuple[int, int, int, int]:
    """The value that starts at ``at``: form, header bytes, bytes in all, bytes once expanded.

    ``at`` is aligned already where that matters. The form is :data:`BROKEN` if the value does not
    fit before ``end``.
    """
    first = u8(data, at)
    if first == 1:
        if at + shape.pointer_bytes > end or data[at + 1] != shape.pointer_tag:
            return BROKEN, 0, 0, 0
        raw = u32(data, at + shape.pointer_header) - 4
        if raw < 0 or raw > SIZE_BITS:
            return BROKEN, 0, 0, 0
        return EXTERNAL, shape.pointer_header, shape.pointer_bytes, raw
    if first & 1:
        whole = first >> 1
        if at + whole > end:
            return BROKEN, 0, 0, 0
        return PLAIN, 1, whole, whole - 1
    if at + 4 > end:
        return BROKEN, 0, 0, 0
    header = u32(data, at)
    whole = header >> 2
    if whole < 4 or at + whole > end:
        return BROKEN, 0, 0, 0
    if header & 3 == 0:
        return PLAIN, 4, whole, whole - 4
    if whole < 8:
        return BROKEN, 0, 0, 0
    return COMPRESSED, 4, whole, u32(data, at + 4) & SIZE_BITS
