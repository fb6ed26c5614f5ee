"""The rows of a sharded table as Parquet files, for systems outside the database.

All segments at once, block by block, so that memory does not grow with the table. (The paper used
Greenplum's gpfdist, §5.)
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from experiments.telemetry.journal import Span
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.copy_binary import FieldReader
from experiments.warehouse.dialect import Segment

BLOCK_BYTES = 2**24
"""Of rows that are asked for, and written as one row group, at once."""


def to_parquet(cluster: Cluster, table: str, folder: Path) -> tuple[Span, list[Path]]:
    """Write each segment's rows of a raw table to a file ``<table>-<key>.parquet``.

    Columns: ``x``, a list of float32, and ``y``, int16; rows in the order of their ``id``.

    Returns
    -------
    The span ``etl.export`` with the bytes written, and the files in the order of the segments.
    """
    start = time.monotonic_ns()
    files = [folder / f"{table}-{segment.key}.parquet" for segment in cluster.segments]
    cluster.on_segments(lambda segment: _export(cluster, segment, table, files[segment.key]))
    size = sum(file.stat().st_size for file in files)
    return Span("etl.export", start, time.monotonic_ns(), size), files


def _export(cluster: Cluster, segment: Segment, table: str, file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema({"x": pa.list_(pa.float32()), "y": pa.int16()})
    with cluster.session(segment) as session, session.cursor() as cursor:
        cursor.execute(f"SELECT count(*), coalesce(max(length(x)), 1) FROM {table}")
        rows, row_bytes = cursor.fetchone()
        block = max(1, BLOCK_BYTES // row_bytes)
        with pq.ParquetWriter(file, schema) as writer:
            for first in range(0, rows, block):
                reader = FieldReader()
                cursor.copy_expert(
                    f"COPY (SELECT x, y FROM {table} WHERE id >= {first} AND id < {first + block} "
                    "ORDER BY id) TO STDOUT (FORMAT binary)",
                    reader,
                )
                values = list(reader.rows())
                x = np.frombuffer(b"".join(x for x, _ in values), "<f4")
                y = np.array([int.from_bytes(y, "big", signed=True) for _, y in values], np.int16)
                ends = np.arange(len(y) + 1, dtype=np.int32) * (row_bytes // 4)
                lists = pa.ListArray.from_arrays(pa.array(ends), pa.array(x))
                writer.write_table(pa.table({"x": lists, "y": pa.array(y)}, schema))
