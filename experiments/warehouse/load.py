"""Load a prepared data set: every row goes straight to its segment by ``COPY … BINARY``.

All segments load at once, each in one transaction that also makes the table (so PostgreSQL writes
no log for it), and all commit only after all have been counted and summed against the files. The
coordinator learns of the table last: a table it does not know is a leftover and is dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import psycopg2

from experiments.datasets import Partition, PreparedDataset, Split
from experiments.errors import DataError, EnvironmentFault
from experiments.warehouse.cluster import Cluster, Connection
from experiments.warehouse.copy_binary import SIGNATURE, TRAILER, ByteStream, encode_rows
from experiments.warehouse.dialect import RAW_COLUMNS, Segment

BLOCK_BYTES = 4 * 2**20
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
    cluster.shard(table, RAW_COLUMNS)
    return Loaded(sum(part.rows for part in loaded), sum(part.bytes for part in loaded))


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
        stream = ByteStream(_blocks(segment.key, part, block))
        cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT binary)", stream, size=2**18)
        cursor.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
        _check(session, segment, part, table, block)
    return Loaded(len(part.y), stream.bytes)


def _blocks(key: int, part: Partition, block: int) -> Iterator[bytes]:
    yield SIGNATURE
    for start in range(0, len(part.y), block):
        x = np.asarray(part.x[start : start + block]).reshape(-1, part.x[0].size)
        yield encode_rows(key, start, x, part.y[start : start + block])
    yield TRAILER


def _check(session: Connection, segment: Segment, part: Partition, table: str, block: int) -> None:
    """Compare row counts and MD5 sums per block of rows with the files."""
    with session.cursor() as cursor:
        cursor.execute(
            f"SELECT b, count(*), md5(string_agg(x, ''::bytea ORDER BY id)), sum(y) "
            f"FROM (SELECT id / {block} AS b, id, x, y FROM {table}) rows GROUP BY b ORDER BY b"
        )
        found = cursor.fetchall()
    expected = -(-len(part.y) // block)
    for index, (number, rows, digest, labels) in enumerate(found):
        x = np.ascontiguousarray(part.x[index * block : (index + 1) * block], dtype="<f4")
        y = part.y[index * block : (index + 1) * block]
        same = hashlib.md5(x.data, usedforsecurity=False).hexdigest() == digest
        if number != index or rows != len(y) or not same or labels != int(y.sum()):
            raise DataError(
                f"table {table} on segment {segment.key}: rows {index * block} to "
                f"{index * block + len(y) - 1} differ from the data set's files"
            )
    if len(found) != expected:
        raise DataError(
            f"table {table} on segment {segment.key} has {len(found)} of {expected} blocks of rows"
        )
