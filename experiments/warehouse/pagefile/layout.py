"""What is where in a page, as data: one :class:`PageFormat` per server that writes heap files.

Names follow PostgreSQL's headers: ``bufpage.h`` (page), ``itemid.h`` (line pointer),
``htup_details.h`` (tuple), ``varatt.h`` (variable-length values), ``heaptoast.h`` (chunks).
"""

from __future__ import annotations

from typing import NamedTuple

PAGE_HEADER = 24
"""Bytes of ``PageHeaderData`` before the line pointers."""

TUPLE_HEADER = 23
"""``offsetof(HeapTupleHeaderData, t_bits)``."""

CHUNK_HEADER = 8
"""A chunk's ``chunk_id`` and ``chunk_seq``, before its ``chunk_data``."""

HAS_NULLS = 0x0001
XMAX_EXCLUSIVE_LOCK = 0x0040
XMAX_LOCK_ONLY = 0x0080
XMIN_INVALID = 0x0200
XMIN_FROZEN = 0x0300
XMAX_INVALID = 0x0800
XMAX_IS_MULTI = 0x1000
MOVED = 0xC000
LOCK_BITS = 0x0050
ATTRIBUTES = 0x07FF
HOT = 0xC000
"""``HEAP_HOT_UPDATED`` and ``HEAP_ONLY_TUPLE``, in ``t_infomask2``."""

UNUSED, NORMAL, REDIRECT, DEAD = range(4)
"""``lp_flags`` of a line pointer."""

PGLZ, LZ4 = range(2)
"""``ToastCompressionId``."""


class PageFormat(NamedTuple):
    """Constants of one server's files. A tuple of integers, so that compiled code takes it as is.

    Attributes
    ----------
    page_bytes : block size, ``BLCKSZ``.
    layout : ``PG_PAGE_LAYOUT_VERSION``, the low byte of ``pd_pagesize_version``.
    chunk_bytes : most bytes of a value in one chunk, ``TOAST_MAX_CHUNK_SIZE``.
    pointer_tag : ``vartag_external`` of a value on disk, ``VARTAG_ONDISK``.
    pointer_bytes : whole external pointer, its header included.
    pointer_header : bytes before ``varatt_external``: marker, tag and, on some servers, padding.
    control_version : ``pg_control_version`` that writes this.
    """

    page_bytes: int
    layout: int
    chunk_bytes: int
    pointer_tag: int
    pointer_bytes: int
    pointer_header: int
    control_version: int


POSTGRES_15 = PageFormat(
    page_bytes=8192,
    layout=4,
    chunk_bytes=1996,
    pointer_tag=18,
    pointer_bytes=18,
    pointer_header=2,
    control_version=1300,
)
"""Little-endian, as on every machine that Debian's package is built for and we run on.

A server of another byte order in its varlena headers (Greenplum 6: network order) gets its row here
and its branch in :mod:`~experiments.warehouse.pagefile.varlena`, the only place that reads them.
"""
