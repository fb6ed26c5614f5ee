"""MADlib's packed table: rows gathered into buffers of a few megabytes, inside the segments.

MADlib packs 300 to 480 MB into one value; values beyond 32 MB are mapped afresh on every access,
so the default here is a few megabytes (protocol ``paper`` may ask for MADlib's).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from experiments.warehouse import account
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import PACKED_COLUMNS, Segment, quote
from experiments.warehouse.sums import IN_KEY_ORDER

BUFFER_BYTES = 4 * 2**20
LABEL_BYTES = 2
"""Of each class in a packed row."""


STORAGE = {
    "external": "SET STORAGE EXTERNAL",
    "lz4": "SET COMPRESSION lz4",
    "pglz": "SET COMPRESSION pglz",
}


@dataclass(frozen=True)
class Packed:
    """Outcome of a packing. ``rows_per_buffer`` is the same on all segments; ``bytes`` are those
    of the buffers, before any compression."""

    table: str
    rows: int
    buffers: int
    bytes: int
    rows_per_buffer: int


def rows_per_buffer(rows: int, segments: int, row_bytes: int, buffer_bytes: int) -> int:
    """MADlib's rule: as many buffers of the wanted size as make each segment hold equally many.

    ``rows`` over all segments; the result is at least 1.
    """
    wanted = max(1, min(buffer_bytes // row_bytes, -(-rows // segments)))
    buffers = segments * -(-rows // (wanted * segments))
    return -(-rows // buffers)


def pack(
    cluster: Cluster,
    source: str,
    shape: tuple[int, ...],
    classes: int,
    *,
    storage: str = "external",
    buffer_bytes: int = BUFFER_BYTES,
) -> Packed:
    """Make ``<source>_packed`` and ``<source>_packed_summary`` from a raw table.

    Parameters
    ----------
    shape : of one row's x, for example ``(28, 28, 1)``.
    classes : y becomes int16 one-hot of this length.
    storage : ``external``, ``lz4`` or ``pglz``.
    """
    start = time.monotonic_ns()
    table = f"{source}_packed"
    row_bytes = 4
    for size in shape:
        row_bytes *= size
    with cluster.session() as session, session.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {source}")
        (rows,) = cursor.fetchone()
    per_buffer = rows_per_buffer(rows, len(cluster.segments), row_bytes, buffer_bytes)

    def one(segment: Segment) -> int:
        return _pack_segment(cluster, segment, source, shape, classes, storage, per_buffer)

    buffers = sum(cluster.on_segments(one))
    cluster.shard(table, PACKED_COLUMNS)
    moved = rows * (row_bytes + LABEL_BYTES * classes)
    _summarise(cluster, source, classes, per_buffer, account.note("etl.pack", start, moved))
    return Packed(table, rows, buffers, moved, per_buffer)


def _pack_segment(
    cluster: Cluster,
    segment: Segment,
    source: str,
    shape: tuple[int, ...],
    classes: int,
    storage: str,
    per_buffer: int,
) -> int:
    """One transaction; the primary key gives each buffer's rows in order without a sort."""
    columns = ", ".join(f"{name} {kind}" for name, kind in PACKED_COLUMNS.items())
    dims = ", ".join(str(size) for size in shape)
    table = f"{source}_packed"
    with cluster.session(segment) as session:
        session.autocommit = False
        with session, session.cursor() as cursor:
            cursor.execute(IN_KEY_ORDER)
            cursor.execute(
                f"DROP TABLE IF EXISTS {table};"
                f"CREATE TABLE {table} ({columns}, CHECK (__dist_key__ = {segment.key}));"
                f"ALTER TABLE {table} ALTER independent_var {STORAGE[storage]},"
                f" ALTER dependent_var {STORAGE[storage]}"
            )
            cursor.execute(f"""
                INSERT INTO {table}
                SELECT {segment.key}, b.x, b.y, ARRAY[b.n, {dims}], ARRAY[b.n, {classes}], i
                FROM generate_series(0, (SELECT max(id) FROM {source}) / {per_buffer}) AS i,
                LATERAL (
                  SELECT count(*)::integer AS n, string_agg(x, ''::bytea) AS x,
                         string_agg(set_byte(decode(repeat('0000', {classes}), 'hex'), 2 * y, 1),
                                    ''::bytea) AS y
                  FROM (SELECT x, y FROM {source}
                        WHERE id >= i * {per_buffer} AND id < (i + 1) * {per_buffer}
                        ORDER BY id) AS rows
                ) AS b""")
            return int(cursor.rowcount)


def _summarise(cluster: Cluster, source: str, classes: int, per_buffer: int, took: str) -> None:
    """MADlib's one-row ``_summary`` table beside the packed one."""
    name = f"{source}_packed_summary"
    levels = ", ".join(str(level) for level in range(classes))
    with cluster.session() as session:
        session.autocommit = False
        with session, session.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {name}")
            cursor.execute(f"""
                CREATE TABLE {name} AS SELECT
                  {quote(source)}::text AS source_table,
                  {quote(source + "_packed")}::text AS output_table,
                  ARRAY['y']::text[] AS dependent_varname,
                  ARRAY['x']::text[] AS independent_varname,
                  ARRAY['smallint']::text[] AS dependent_vartype,
                  ARRAY[{levels}]::smallint[] AS y_class_values,
                  {per_buffer} AS buffer_size,
                  1.0::real AS normalizing_const,
                  ARRAY[{classes}] AS num_classes,
                  'all_segments'::text AS distribution_rules,
                  'all_segments'::text AS __internal_gpu_config__""")
            account.write(cursor, name, took)
