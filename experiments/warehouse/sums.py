"""Blocks of rows known by count, SHA-256 and the sum of their labels, here and in a segment."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

IN_KEY_ORDER = "SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off"
"""For a transaction that walks a table along its primary key: without statistics the planner would
sort what is in order already, through files."""

Sums: TypeAlias = tuple[int, bytes, int]
"""A block's number of rows, SHA-256 of its x, and sum of its y."""


def of_rows(x: npt.NDArray[np.float32], y: npt.NDArray[np.int16]) -> Sums:
    """Sums of rows that are here; ``x`` is contiguous."""
    return len(y), hashlib.sha256(x.data).digest(), int(y.sum())


def of_table(cursor: Any, table: str, block: int) -> list[Sums]:
    """Sums of a segment's raw table, in blocks of so many rows in the order of their ``id``.

    To be asked in a transaction that is :data:`IN_KEY_ORDER`.
    """
    cursor.execute(
        f"SELECT b.* FROM generate_series(0, (SELECT max(id) FROM {table}) / {block}) AS i, "
        f"LATERAL (SELECT count(*), sha256(string_agg(x, ''::bytea)), sum(y) FROM ("
        f"SELECT x, y FROM {table} WHERE id >= i * {block} AND id < (i + 1) * {block} "
        f"ORDER BY id) AS rows) AS b ORDER BY i"
    )
    return [(rows, bytes(digest or b""), labels) for rows, digest, labels in cursor.fetchall()]
