"""Pages to visible tuples: page headers, line pointers and visibility.

``bufpage.h``, ``itemid.h`` and ``htup_details.h`` define the layout; who sees a tuple follows
``HeapTupleSatisfiesMVCC``, with a commit log that already knows of the snapshot (see
:mod:`~experiments.warehouse.pagefile.snapshot`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from experiments.warehouse.pagefile import faults, layout
from experiments.warehouse.pagefile.checksum import checksum
from experiments.warehouse.pagefile.layout import PageFormat
from experiments.warehouse.pagefile.native import Bytes, Ints, Xids, compiled, inlined, u8, u16, u32


class Horizon(NamedTuple):
    """What a snapshot saw, for compiled code.

    Attributes
    ----------
    oldest : uint32 xid of the first entry in ``log``.
    xmax : uint32 xid; it and all later ones had not begun.
    log : two bits per transaction as in ``pg_xact``; 1 is committed before the snapshot.
    multis, updaters : sorted multixacts that do more than lock, and their updating transactions.
    """

    oldest: int
    xmax: int
    log: Bytes
    multis: Xids
    updaters: Xids


@inlined
def _committed(xid: int, horizon: Horizon) -> int:
    """1 if the snapshot saw it commit, 0 if not, -1 if it is out of the log's reach."""
    if xid < 3:  # InvalidTransactionId, BootstrapTransactionId, FrozenTransactionId
        return 0 if xid == 0 else 1
    if (xid - horizon.xmax) & 0xFFFFFFFF < 0x80000000:
        return 0
    index = (xid - horizon.oldest) & 0xFFFFFFFF
    if index >= 4 * len(horizon.log):
        return -1
    return 1 if (horizon.log[index >> 2] >> (2 * (index & 3))) & 3 == 1 else 0


@compiled
def _visible(raw: Bytes, at: int, horizon: Horizon, fault: Ints) -> bool:
    """Does the snapshot see the tuple at ``at``? ``fault`` gets code and item if nobody can say."""
    mask = u16(raw, at + 20)
    if mask & layout.MOVED:
        fault[0] = faults.OLD
        return False
    if mask & layout.XMIN_FROZEN != layout.XMIN_FROZEN:
        if mask & layout.XMIN_INVALID:
            return False
        xmin = u32(raw, at)
        seen = _committed(xmin, horizon)
        if seen < 0:
            fault[0], fault[2] = faults.XID, xmin
        if seen != 1:
            return False
    locked = mask & layout.XMAX_LOCK_ONLY or (
        mask & (layout.XMAX_IS_MULTI | layout.LOCK_BITS) == layout.XMAX_EXCLUSIVE_LOCK
    )
    if mask & layout.XMAX_INVALID or locked:
        return True
    xmax: Any = u32(raw, at + 4)
    if mask & layout.XMAX_IS_MULTI:
        found = np.searchsorted(horizon.multis, np.uint32(xmax))
        if found == len(horizon.multis) or horizon.multis[found] != xmax:
            fault[0], fault[2] = faults.MULTI, xmax
            return False
        xmax = np.int64(horizon.updaters[found])
    seen = _committed(xmax, horizon)
    if seen < 0:
        fault[0], fault[2] = faults.XID, xmax
    return seen == 0


@compiled
def tuples_of_page(
    page: Bytes,
    base: int,
    block: int,
    attributes: int,
    shape: PageFormat,
    checked: bool,
    horizon: Horizon,
    starts: Ints,
    ends: Ints,
    fault: Ints,
) -> int:
    """Places of one page's visible tuples.

    Parameters
    ----------
    page : uint8 [page_bytes].
    base : added to every place.
    block : the page's number, counted from the relation's start.
    attributes : columns of the relation, dropped ones included; no tuple may have more.
    checked : the cluster keeps page checksums.
    starts, ends : filled with the tuples' places; as long as a page has line pointers.
    fault : int64 [3] of code, block and item; code is ``SOUND`` unless the page is damaged.

    Returns
    -------
    Number of visible tuples; -1 if the page is all zeros, which a page never written to is.
    """
    lower, upper, special = u16(page, 12), u16(page, 14), u16(page, 16)
    size = shape.page_bytes
    fault[1] = block
    if upper == 0 and not page.any():
        return -1
    if u16(page, 18) != size | shape.layout:
        fault[0], fault[2] = faults.VERSION, u16(page, 18)
        return 0
    if checked and checksum(page, block) != u16(page, 8):
        fault[0], fault[2] = faults.CHECKSUM, u16(page, 8)
        return 0
    bounded = layout.PAGE_HEADER <= lower <= upper <= special
    if not bounded or special != size or u16(page, 10) & ~7 or lower & 3:
        fault[0] = faults.HEADER
        return 0
    count = 0
    for at in range(layout.PAGE_HEADER, lower, 4):
        pointer = u32(page, at)
        if (pointer >> 15) & 3 != layout.NORMAL:
            continue
        start = pointer & 0x7FFF
        end = start + (pointer >> 17)
        fault[2] = (at - layout.PAGE_HEADER) // 4 + 1
        if start < upper or start & 7 or end > size or end - start < layout.TUPLE_HEADER:
            fault[0] = faults.POINTER
            return 0
        columns = u16(page, start + 18) & layout.ATTRIBUTES
        header = u8(page, start + 22)
        need = layout.TUPLE_HEADER
        if u16(page, start + 20) & layout.HAS_NULLS:
            need += (columns + 7) >> 3
        if header < need or header & 7 or start + header > end or columns > attributes:
            fault[0] = faults.TUPLE
            return 0
        if _visible(page, start, horizon, fault):
            starts[count] = base + start
            ends[count] = base + end
            count += 1
        if fault[0]:
            return 0
    return count


@compiled
def tuples_of_pages(
    raw: Bytes,
    first: int,
    attributes: int,
    shape: PageFormat,
    checked: bool,
    horizon: Horizon,
    starts: Ints,
    ends: Ints,
    empty: Bytes,
    fault: Ints,
) -> int:
    """Places of all visible tuples of consecutive pages; how many there are.

    Parameters
    ----------
    raw : uint8 [pages * page_bytes]; the first page is block ``first`` of the relation.
    empty : uint8 [pages], set to 1 where a page is all zeros.

    The others are those of :func:`tuples_of_page`.
    """
    size = shape.page_bytes
    count = 0
    for index in range(len(raw) // size):
        base = index * size
        found = tuples_of_page(
            raw[base : base + size],
            base,
            first + index,
            attributes,
            shape,
            checked,
            horizon,
            starts[count:],
            ends[count:],
            fault,
        )
        if fault[0]:
            return count
        empty[index] = found < 0
        count += max(found, 0)
    return count
