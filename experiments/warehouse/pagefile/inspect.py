"""Statistics of one page file, without its server: pages, line pointers, tuples, TOAST chunks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.errors import DataError, SpecError
from experiments.warehouse.pagefile import layout, varlena
from experiments.warehouse.pagefile.checksum import checksum
from experiments.warehouse.pagefile.layout import POSTGRES_15, PageFormat
from experiments.warehouse.pagefile.native import Bytes, Ints, compiled, u8, u16, u32
from experiments.warehouse.pagefile.relation import RelationFile

FILE_BLOCKS = 2**30 // POSTGRES_15.page_bytes
"""``RELSEG_SIZE`` of every server that is not built in another way."""

STRETCH = 64

NAMES = (
    "pages",
    "pages never written to",
    "pages damaged",
    "pages with a checksum",
    "pages with a wrong checksum",
    "free bytes",
    "line pointers unused",
    "line pointers to tuples",
    "line pointers redirected",
    "line pointers dead",
    "tuples",
    "tuples with nulls",
    "tuples frozen",
    "tuples of aborted transactions",
    "tuples updated, deleted or locked",
    "tuples within a HOT chain",
    "tuple bytes",
    "TOAST chunks",
    "TOAST chunks that are full",
    "TOAST values",
    "TOAST bytes",
)
(
    PAGES, EMPTY, DAMAGED, SUMMED, WRONG, FREE, UNUSED, _, _, _, TUPLES, NULLS, FROZEN, ABORTED,
    ENDED, HOT, BYTES, CHUNKS, FULL, VALUES, TOAST_BYTES,
) = range(len(NAMES))  # fmt: skip


@compiled
def survey(raw: Bytes, first: int, shape: PageFormat, totals: Ints) -> None:
    """Add what some pages hold to ``totals``, int64 in the order of :data:`NAMES`."""
    size = shape.page_bytes
    for index in range(len(raw) // size):
        page = raw[index * size : (index + 1) * size]
        lower, upper, special = u16(page, 12), u16(page, 14), u16(page, 16)
        totals[PAGES] += 1
        if upper == 0 and not page.any():
            totals[EMPTY] += 1
            continue
        if u16(page, 8):
            totals[SUMMED] += 1
            totals[WRONG] += checksum(page, first + index) != u16(page, 8)
        bounded = layout.PAGE_HEADER <= lower <= upper <= special
        if not bounded or special != size or u16(page, 18) != size | shape.layout:
            totals[DAMAGED] += 1
            continue
        totals[FREE] += upper - lower
        for at in range(layout.PAGE_HEADER, lower - 3, 4):
            pointer = u32(page, at)
            totals[UNUSED + ((pointer >> 15) & 3)] += 1
            start = pointer & 0x7FFF
            end = start + (pointer >> 17)
            whole = upper <= start and start + layout.TUPLE_HEADER <= end <= size
            if (pointer >> 15) & 3 == layout.NORMAL and whole:
                _survey_tuple(page, start, end, shape, totals)


@compiled
def _survey_tuple(page: Bytes, start: int, end: int, shape: PageFormat, totals: Ints) -> None:
    mask, more = u16(page, start + 20), u16(page, start + 18)
    frozen = mask & layout.XMIN_FROZEN == layout.XMIN_FROZEN
    totals[TUPLES] += 1
    totals[BYTES] += end - start
    totals[NULLS] += mask & layout.HAS_NULLS
    totals[FROZEN] += frozen
    totals[ABORTED] += mask & layout.XMIN_INVALID != 0 and not frozen
    totals[ENDED] += mask & layout.XMAX_INVALID == 0
    totals[HOT] += more & layout.HOT != 0
    data = start + u8(page, start + 22) + layout.CHUNK_HEADER
    if more & layout.ATTRIBUTES != 3 or mask & layout.HAS_NULLS or data >= end:
        return
    form, _, whole, size = varlena.parse(page, data, end, shape)
    if form == varlena.PLAIN and data + whole == end and size <= shape.chunk_bytes:
        totals[CHUNKS] += 1
        totals[FULL] += size == shape.chunk_bytes
        totals[VALUES] += u32(page, data - 4) == 0
        totals[TOAST_BYTES] += size


def inspect(path: Path, shape: PageFormat = POSTGRES_15) -> Mapping[str, int]:
    """Statistics of a page file and those that continue it; :data:`NAMES` to counts.

    A file that ends in ``.1``, ``.2`` … is taken alone.

    Raises
    ------
    DataError
        No such file, or one that is no whole number of pages.
    """
    number = re.fullmatch(r".*\.(\d+)", path.name)
    offset = int(number[1]) * FILE_BLOCKS if number else 0
    totals = np.zeros(len(NAMES), np.int64)
    with RelationFile(path, shape.page_bytes, FILE_BLOCKS) as file:
        raw = np.empty(STRETCH * shape.page_bytes, np.uint8)
        for first in range(0, file.blocks, STRETCH):
            part = raw[: min(STRETCH, file.blocks - first) * shape.page_bytes]
            file.read(first, part)
            survey(part, offset + first, shape, totals)
    if totals[CHUNKS] != totals[TUPLES]:
        totals[CHUNKS:] = 0  # a table whose rows happen to look like chunks
    return dict(zip(NAMES, totals.tolist(), strict=True))


def command(arguments: Sequence[str]) -> int:
    """``pagefile inspect FILE``: print what is not zero."""
    if len(arguments) != 2 or arguments[0] != "inspect":
        raise SpecError("usage: python -m experiments pagefile inspect FILE")
    found = inspect(Path(arguments[1]))
    if not found[NAMES[PAGES]]:
        raise DataError(f"{arguments[1]}: no pages")
    for name, count in found.items():
        if count:
            print(f"{name:34} {count:>16,}")
    return 0
