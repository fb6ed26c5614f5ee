"""Unload a sharded table: every segment's rows to a Parquet file of its own, all segments at once.

The counterpart of :mod:`.load`, for systems outside the database: ``COPY … BINARY`` to the client,
block by block, so that memory does not grow with the table. A file is written aside, compared with
what its segment holds, and gets its name only then; an unload that was killed keeps the files that
have theirs.

(The paper used writable external tables over gpfdist, §5. In Greenplum, to be tried there: a
session in utility mode sees one segment's rows and serves :func:`unload_segment` as it is, but for
the shared snapshot, without which the session that copies has to ask for the sums too. ``COPY … ON
SEGMENT`` or a writable web table would write beside each segment.)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from experiments.datasets.copy_binary import RowReader
from experiments.errors import DataError
from experiments.files import unwritable
from experiments.warehouse import sums
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import Segment
from experiments.warehouse.sums import IN_KEY_ORDER, Sums

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 2**19
"""Of rows that are compared at once, as in loading."""

GROUP_BLOCKS = 8
"""Of them that make a row group."""

PARQUET: Mapping[str, Any] = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": False,
    "write_page_checksum": True,
}
"""How files are written. lz4 took a quarter longer to write and shrank Fashion-MNIST to 0.4."""

_CONTENT = b"cerebro_ds.content"
"""Key of a file's metadata under which it says what it holds."""


@dataclass(frozen=True)
class Cast:
    """Types of the columns: ``x``, a list of ``features``, and ``y``, one of ``labels``.

    Attributes
    ----------
    fixed_size : whether lists are of one size by their type. (Spark reads both alike; writing and
        reading take pyarrow the same time.)
    """

    features: Literal["float32", "float64"] = "float32"
    labels: Literal["int16", "int32", "int64"] = "int16"
    fixed_size: bool = False

    def schema(self, width: int) -> pa.Schema:
        """Of rows of ``width`` values."""
        import pyarrow as pa

        value = pa.type_for_alias(self.features)
        features = pa.list_(value, width) if self.fixed_size else pa.list_(value)
        return pa.schema({"x": features, "y": pa.type_for_alias(self.labels)})

    def table(
        self, x: npt.NDArray[np.float32], y: npt.NDArray[np.int16], schema: pa.Schema
    ) -> pa.Table:
        """Rows as Arrow sees them; values whose type stays are not copied."""
        import pyarrow as pa

        rows, width = x.shape
        values = pa.array(x.reshape(-1).astype(self.features, copy=False))
        if self.fixed_size:
            features = pa.FixedSizeListArray.from_arrays(values, width)
        else:
            ends = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
            features = pa.ListArray.from_arrays(ends, values)
        labels = pa.array(y.astype(self.labels, copy=False))
        return pa.Table.from_arrays([features, labels], schema=schema)


@dataclass(frozen=True)
class Unloaded:
    """Outcome of an unload, summed over the segments.

    Attributes
    ----------
    files : in the order of the segments.
    bytes : of the files.
    kept : files that an earlier unload had finished.
    """

    files: tuple[Path, ...]
    rows: int
    bytes: int
    kept: int


def unload(cluster: Cluster, table: str, folder: Path, cast: Cast | None = None) -> Unloaded:
    """Write each segment's rows of a raw table to ``<table>-<key>.parquet``, in order of ``id``.

    A file of that name is kept if it holds the segment's rows as they are now, in these types.
    Type casts are made on the way.

    Raises
    ------
    DataError
        What came differs from what a segment holds, or a segment's table is not as :func:`.load`
        makes it; no file is made of it.
    EnvironmentFault
        The disk is full or the folder cannot be written.
    """
    types = cast or Cast()

    def one(segment: Segment) -> tuple[Path, int, bool]:
        file = folder / f"{table}-{segment.key}.parquet"
        return file, *unload_segment(cluster, segment, table, file, types)

    parts = cluster.on_segments(one)
    return Unloaded(
        files=tuple(file for file, _, _ in parts),
        rows=sum(rows for _, rows, _ in parts),
        bytes=sum(file.stat().st_size for file, _, _ in parts),
        kept=sum(kept for _, _, kept in parts),
    )


def unload_segment(
    cluster: Cluster, segment: Segment, table: str, file: Path, cast: Cast
) -> tuple[int, bool]:
    """Write one segment's rows, all of one snapshot: how many, and whether the file was kept.

    Three things go on at once: rows arrive, rows that have arrived are summed and written, and the
    segment sums its own.
    """
    name = f"table {table} on segment {segment.key}"
    with (
        cluster.session(segment) as session,
        session.cursor() as cursor,
        ThreadPoolExecutor(2, "unload") as lanes,
    ):
        session.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
        cursor.execute(IN_KEY_ORDER)
        cursor.execute("SELECT pg_export_snapshot()")
        ((snapshot,),) = cursor.fetchall()
        cursor.execute(f"SELECT length(x) / 4 FROM {table} ORDER BY id LIMIT 1")
        ((width,),) = cursor.fetchall() or [(1,)]
        block = max(1, BLOCK_BYTES // (4 * width))
        summing = lanes.submit(_held, cluster, segment, table, block, snapshot)
        if (said := _says(file)) is not None and said == _content(summing.result(), cast):
            return sum(rows for rows, _, _ in summing.result()), True
        with _written(file, cast.schema(width)) as writer:
            sink = _Sink(name, writer, cast, block, lanes)
            reader = RowReader(width, GROUP_BLOCKS * block, sink.take)
            try:
                cursor.copy_expert(
                    f"COPY (SELECT id, x, y FROM {table} ORDER BY id) TO STDOUT (FORMAT binary)",
                    reader,
                )
                reader.finish()
            except ValueError as error:
                raise DataError(f"{name} is not as loading makes it: {error}") from None
            sink.finish()
            held = summing.result()
            if sink.arrived != held:
                pairs = enumerate(zip_longest(sink.arrived, held))
                first = next(number for number, (one, other) in pairs if one != other)
                raise DataError(
                    f"{name}: rows from {first * block} on came otherwise than it holds them"
                )
            writer.add_key_value_metadata({_CONTENT: _content(held, cast)})
    return sum(rows for rows, _, _ in held), False


def _held(cluster: Cluster, segment: Segment, table: str, block: int, snapshot: str) -> list[Sums]:
    """What a segment holds by its own account, in another session's snapshot."""
    with cluster.session(segment) as session, session.cursor() as cursor:
        session.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
        cursor.execute("SET TRANSACTION SNAPSHOT %s", (snapshot,))
        cursor.execute(IN_KEY_ORDER)
        return sums.of_table(cursor, table, block)


class _Sink:
    """Takes a segment's rows to its file, a row group behind their arrival, and sums them."""

    def __init__(
        self, name: str, writer: Any, cast: Cast, block: int, lanes: ThreadPoolExecutor
    ) -> None:
        self.arrived: list[Sums] = []
        self._name = name
        self._writer = writer
        self._cast = cast
        self._block = block
        self._lanes = lanes
        self._next = 0
        self._writing: Future[None] | None = None

    def take(
        self,
        ids: npt.NDArray[np.int64],
        x: npt.NDArray[np.float32],
        y: npt.NDArray[np.int16],
    ) -> None:
        """The next row group, of whole blocks but for the last."""
        first, self._next = self._next, self._next + len(ids)
        if not np.array_equal(ids, np.arange(first, self._next)):
            raise DataError(f"{self._name}: the ids of its rows do not count from 0")
        self.finish()
        self._writing = self._lanes.submit(self._write, x, y)

    def finish(self) -> None:
        """Wait until all that was taken is written."""
        if self._writing is not None:
            self._writing.result()

    def _write(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.int16]) -> None:
        for start in range(0, len(y), self._block):
            rows = slice(start, start + self._block)
            self.arrived.append(sums.of_rows(x[rows], y[rows]))
        self._writer.write_table(self._cast.table(x, y, self._writer.schema), len(y))


@contextlib.contextmanager
def _written(file: Path, schema: pa.Schema) -> Iterator[Any]:
    """A writer of a Parquet file that gets its name when all of it is on disk."""
    from pyarrow import parquet

    aside = file.with_name(f".{file.name}")
    try:
        with parquet.ParquetWriter(aside, schema, **PARQUET) as writer:
            yield writer
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.replace(file)
    except OSError as error:
        raise unwritable(file, error) from error
    finally:
        aside.unlink(missing_ok=True)


def _content(held: Sequence[Sums], cast: Cast) -> bytes:
    """What a file with these rows in these types says of itself."""
    digest = hashlib.sha256()
    for rows, block, labels in held:
        digest.update(f"{rows} {block.hex()} {labels}\n".encode())
    return json.dumps({"rows": digest.hexdigest(), **asdict(cast)}).encode()


def _says(file: Path) -> bytes | None:
    """What a whole file says of itself; nothing where there is none."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        said: bytes | None = parquet.read_metadata(file).metadata.get(_CONTENT)
    except (OSError, pa.ArrowException, AttributeError):
        return None
    return said
