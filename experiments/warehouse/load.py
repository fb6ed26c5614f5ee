"""Load a prepared data set: every row goes straight to its segment by ``COPY … BINARY``.

All segments load at once, each in one transaction that also makes the table (so PostgreSQL writes
no log for it), and all commit only after all have been counted and summed against the files. The
coordinator learns of the table last: a table it does not know is a leftover and is dropped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import psycopg2

from experiments.datasets import Partition, PreparedDataset, Split
from experiments.datasets.copy_binary import SIGNATURE, TRAILER, ByteStream, encode_rows
from experiments.errors import DataError, EnvironmentFault
from experiments.warehouse import account, sums
from experiments.warehouse.cluster import Cluster, Connection
from experiments.warehouse.dialect import RAW_COLUMNS, Segment
from experiments.warehouse.sums import IN_KEY_ORDER, Sums

BLOCK_BYTES = 2**19
INLINE_BYTES = 8000
"""Rows up to this size stay in the heap page; longer ones go to TOAST uncompressed."""


@dataclass(frozen=True)
class Loaded:
    """Outcome of a load: rows and bytes of the COPY streams, summed over the segments."""

    rows: int
    bytes: int


def load(cluster: Cluster, dataset: PreparedDataset, split: Split, table: str) -> Loaded:
    """Make the sharded ``table`` from the partitions of ``split``; partition k to segment k.

    Memory does not grow with the table: a segment holds one block of :data:`BLOCK_BYTES`.

    Raises
    ------
    DataError
        A segment holds other rows than the files; nothing is kept.
    EnvironmentFault
        A segment's disk is full; nothing is kept.
    """
    start = time.monotonic_ns()
    sessions = [cluster.connect(segment) for segment in cluster.segments]
    try:
        for session in sessions:
            session.autocommit = False

        def one(segment: Segment) -> Loaded:
            partition = dataset.partition(split, segment.key)
            return _load_segment(sessions[segment.key], segment, partition, table)

        loaded = cluster.on_segments(one)
        for session in sessions:
            session.commit()
    except psycopg2.errors.DiskFull as error:
        raise EnvironmentFault(
            f"a segment has no disk space left for table {table}: {error.diag.message_primary}"
        ) from None
    finally:
        for session in sessions:
            session.close()  # a transaction that did not commit is rolled back
    outcome = Loaded(sum(part.rows for part in loaded), sum(part.bytes for part in loaded))
    cluster.shard(table, RAW_COLUMNS, account.note("etl.load", start, outcome.bytes))
    return outcome


def _load_segment(session: Connection, segment: Segment, part: Partition, table: str) -> Loaded:
    columns = ", ".join(f"{name} {kind}" for name, kind in RAW_COLUMNS.items())
    row_bytes = part.x[0].nbytes
    block = max(1, BLOCK_BYTES // row_bytes)
    with session.cursor() as cursor:
        cursor.execute(
            f"DROP TABLE IF EXISTS {table};"
            f"CREATE TABLE {table} ({columns}, CHECK (__dist_key__ = {segment.key}));"
            f"ALTER TABLE {table} ALTER COLUMN x SET STORAGE EXTERNAL"
        )
        if row_bytes <= INLINE_BYTES:
            cursor.execute(f"ALTER TABLE {table} SET (toast_tuple_target = 8160)")
        sent: list[Sums] = []
        stream = ByteStream(_blocks(segment.key, part, block, sent))
        cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT binary)", stream, size=2**18)
        cursor.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
        _check(session, segment, table, block, sent)
    return Loaded(len(part.y), stream.bytes)


def _blocks(key: int, part: Partition, block: int, sent: list[Sums]) -> Iterator[bytes]:
    """The stream of a partition; ``sent`` gets one entry a block as it goes out."""
    yield SIGNATURE
    for start in range(0, len(part.y), block):
        x = np.ascontiguousarray(part.x[start : start + block], dtype="<f4")
        y = part.y[start : start + block]
        sent.append(sums.of_rows(x, y))
        yield encode_rows(key, start, x.reshape(len(y), -1), y)
    yield TRAILER


def _check(session: Connection, segment: Segment, table: str, block: int, sent: list[Sums]) -> None:
    """Compare what the segment holds with what was sent, block by block along the primary key."""
    with session.cursor() as cursor:
        cursor.execute(IN_KEY_ORDER)
        found = sums.of_table(cursor, table, block)
    for index, (given, held) in enumerate(zip(sent, found, strict=False)):
        if given != held:
            raise DataError(
                f"table {table} on segment {segment.key}: rows {index * block} to "
                f"{index * block + given[0] - 1} differ from the data set's files"
            )
    if len(found) != len(sent):
        raise DataError(
            f"table {table} on segment {segment.key} has {len(found)} of {len(sent)} blocks of rows"
        )
