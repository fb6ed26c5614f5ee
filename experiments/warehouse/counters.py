"""What a database's servers have counted of themselves, since they were made.

Pages that they took from the kernel and from their own cache, what they wrote to temporary files,
to their log and back to their files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import Segment
from experiments.warehouse.failures import translated

_COUNTERS = (
    *("blks_read", "blks_hit", "temp_files", "temp_bytes"),
    *("tup_returned", "tup_inserted", "tup_updated", "xact_commit"),
)
_QUERY = f"""
SELECT {", ".join(_COUNTERS)}, wal_bytes::bigint,
       buffers_checkpoint + buffers_clean + buffers_backend,
       current_setting('block_size')::bigint
FROM pg_stat_database, pg_stat_wal, pg_stat_bgwriter WHERE datname = current_database()
"""
_PATIENCE_SECONDS = 5.0
_NAMES = (*_COUNTERS, "wal_bytes", "blks_written", "block_bytes")


def read(cluster: Cluster) -> Mapping[str, Mapping[str, int]]:
    """Counters of the coordinator and of every segment, called ``segment-0`` and so on.

    Blocks are of ``block_bytes`` bytes; ``wal_bytes`` and ``blks_written`` are of the whole server.

    Raises
    ------
    ServerDied
        One does not answer.
    """
    servers: dict[str, Segment | None] = {"coordinator-0": None}
    servers |= {f"segment-{segment.key}": segment for segment in cluster.segments}
    found = {}
    for name, segment in servers.items():
        session = cluster.connect(segment, patience=_PATIENCE_SECONDS)
        with translated(name), contextlib.closing(session), session.cursor() as cursor:
            cursor.execute(_QUERY)
            found[name] = dict(zip(_NAMES, map(int, cursor.fetchone()), strict=True))
    return found
