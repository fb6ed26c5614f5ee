"""PostgreSQL's two value compressions, each bounded by its input and its output.

*pglz* (``pg_lzcompress.h``): a control byte, then eight items; a set bit is a match of 12 bits of
distance and a length of 3 or more. *lz4*: the block format, literals and matches in turn.
"""

from __future__ import annotations

from experiments.warehouse.pagefile import layout
from experiments.warehouse.pagefile.native import (
    Bytes,
    Ints,
    compiled,
    copy,
    copy16,
    inlined,
    u8,
    u16,
)

SLACK = 16
"""Room that a wide copy needs behind its last byte."""


@inlined
def _repeat(out: Bytes, at: int, distance: int, length: int, end: int) -> None:
    """Copy ``length`` bytes from ``distance`` bytes back; they may overlap what is written."""
    base = out.ctypes.data + at
    if at + length + SLACK <= end:
        done, period = 0, distance
        while period < SLACK and done < length:
            # What is copied beyond the period is wrong, and overwritten at once.
            copy16(base + done, base - distance)
            done += period
            period += period
        while done < length:
            copy16(base + done, base + done - period)
            done += SLACK
    else:
        for index in range(length):
            out[at + index] = out[at + index - distance]


@compiled
def pglz(source: Bytes, at: int, stop: int, out: Bytes, begin: int, end: int) -> bool:
    """Expand ``source[at:stop]`` to exactly ``out[begin:end]``; False if it does not fit."""
    to = begin
    while at < stop and to < end:
        control = u8(source, at)
        at += 1
        if control == 0 and at + SLACK <= stop and to + SLACK <= end:
            copy16(out.ctypes.data + to, source.ctypes.data + at)
            at += 8
            to += 8
            continue
        for item in range(8):
            if at >= stop or to >= end:
                break
            if control >> item & 1:
                if at + 2 > stop:
                    return False
                first = u8(source, at)
                length = (first & 15) + 3
                distance = (first & 0xF0) << 4 | u8(source, at + 1)
                at += 2
                if length == 18:
                    if at >= stop:
                        return False
                    length += u8(source, at)
                    at += 1
                if distance == 0 or distance > to - begin:
                    return False
                length = min(length, end - to)
                _repeat(out, to, distance, length, end)
                to += length
            else:
                out[to] = source[at]
                at += 1
                to += 1
    return at == stop and to == end


@compiled
def lz4(source: Bytes, at: int, stop: int, out: Bytes, begin: int, end: int) -> bool:
    """Expand ``source[at:stop]`` to exactly ``out[begin:end]``; False if it does not fit."""
    to = begin
    while at < stop:
        token = u8(source, at)
        at += 1
        length = token >> 4
        if length == 15:
            more = 255
            while more == 255:
                if at >= stop:
                    return False
                more = u8(source, at)
                at += 1
                length += more
        if at + length > stop or to + length > end:
            return False
        if length <= SLACK and at + SLACK <= stop and to + SLACK <= end:
            copy16(out.ctypes.data + to, source.ctypes.data + at)
        else:
            copy(out.ctypes.data + to, source.ctypes.data + at, length)
        at += length
        to += length
        if at == stop:
            return to == end
        if at + 2 > stop:
            return False
        distance = u16(source, at)
        at += 2
        length = token & 15
        if length == 15:
            more = 255
            while more == 255:
                if at >= stop:
                    return False
                more = u8(source, at)
                at += 1
                length += more
        length += 4
        if distance == 0 or distance > to - begin or to + length > end:
            return False
        _repeat(out, to, distance, length, end)
        to += length
    return False


@compiled
def expand(
    source: Bytes,
    place: Ints,
    stored: Ints,
    out: Bytes,
    begin: Ints,
    size: Ints,
) -> int:
    """Decompress values, each with its ``va_tcinfo`` in front; the first bad one's index, or -1.

    Parameters
    ----------
    source : holds value i in ``source[place[i]:place[i] + stored[i]]``.
    out : gets it in ``out[begin[i]:begin[i] + size[i]]``.
    """
    for index in range(len(place)):
        at, to = place[index], begin[index]
        stop, end = at + stored[index], to + size[index]
        method = u8(source, at + 3) >> 6
        good = False
        if method == layout.PGLZ:
            good = pglz(source, at + 4, stop, out, to, end)
        elif method == layout.LZ4:
            good = lz4(source, at + 4, stop, out, to, end)
        if not good:
            return index
    return -1
