"""Forms in which a partition is written, each to files of its own with their digests.

``arrays``
    Dense float32 rows and int16 labels as ``.npy``, memory mapped by Cerebro-Standalone and DDP.
``parquet``
    The canonical form: compact rows as they were ingested (an image's bytes, a click's active
    columns), fixed-size lists, one file a partition. Its metadata say how they become dense.
``spark``
    Parquet as Spark reads it: ``features``, a list of float32, and ``label``.
``copy``
    A stream for the database: ``COPY table FROM 'rows.copy' (FORMAT binary)`` of a raw table, whose
    columns are the partition's ``__dist_key__``, ``id``, ``x`` and ``y``.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.copy_binary import SIGNATURE, TRAILER, encode_rows
from experiments.datasets.manifest import ARRAYS, DTYPES, FileRecord, files_of
from experiments.datasets.npy import NpyWriter
from experiments.datasets.recipe import Recipe
from experiments.datasets.source import RowReader, Split

Part: TypeAlias = tuple[Split, int]

GROUP_BYTES = 4 << 20

PARQUET, SPARK, COPY = "parquet", "spark", "copy"


class CompactReader(Protocol):
    """A :class:`~experiments.datasets.source.RowReader` whose rows have a smaller form."""

    def compact(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int16]]:
        """Rows by number as they were ingested, and their labels."""
        ...


@dataclass(frozen=True)
class Rows:
    """Some consecutive rows of a partition; made dense or read when first asked for.

    Attributes
    ----------
    numbers : int64 [n], of the source.
    """

    reader: RowReader
    numbers: NDArray[np.int64]

    @cached_property
    def dense(self) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
        """Model input [n, \\*input_shape] and labels [n]."""
        return self.reader.take(self.numbers)

    @cached_property
    def compact(self) -> tuple[NDArray[Any], NDArray[np.int16]]:
        """The rows in their smallest form [n, …], and labels [n]."""
        compact = getattr(self.reader, "compact", None)
        return self.dense if compact is None else compact(self.numbers)


class PartWriter(Protocol):
    """Writes one partition in one form."""

    def append(self, rows: Rows) -> None:
        """The next rows."""
        ...

    def finish(self) -> Mapping[str, FileRecord]:
        """fsync; the files that were written, by path relative to the folder."""
        ...

    def close(self) -> None:
        """Let go of the files, finished or not."""
        ...


class ArraysWriter:
    """``x.npy`` and ``y.npy``."""

    def __init__(self, folder: Path, recipe: Recipe, part: Part) -> None:
        start, stop = recipe.bounds(*part)
        self._x_name, self._y_name = files_of(ARRAYS, part)
        shape = (stop - start, *recipe.input_shape)
        self._x = NpyWriter(folder / self._x_name, DTYPES["x"], shape)
        self._y = NpyWriter(folder / self._y_name, DTYPES["y"], (stop - start,))

    def append(self, rows: Rows) -> None:
        x, y = rows.dense
        self._x.append(x)
        self._y.append(y)

    def finish(self) -> Mapping[str, FileRecord]:
        return {self._x_name: self._x.finish(), self._y_name: self._y.finish()}

    def close(self) -> None:
        self._x.close()
        self._y.close()


class _Hashing(io.RawIOBase):
    """A file that is hashed while it is written from front to back."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        os.fchmod(self._file.fileno(), 0o644)
        self.digest = hashlib.sha256()
        self.bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        self.digest.update(rest)
        self.bytes += len(rest)
        while rest:
            rest = rest[self._file.write(rest) :]
        return memoryview(data).nbytes

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
        super().close()


class ParquetWriter:
    """One Parquet file, with row groups of :data:`GROUP_BYTES`: each costs memory until the end."""

    def __init__(self, folder: Path, recipe: Recipe, part: Part, form: str) -> None:
        self._compact = form == PARQUET
        self._shape: tuple[int, ...] | None = None
        self._rows = recipe.bounds(*part)[1] - recipe.bounds(*part)[0]
        self._said = {
            "name": recipe.name,
            "fingerprint": recipe.fingerprint,
            "split": part[0],
            "partition": part[1],
            "input_shape": recipe.input_shape,
            "classes": len(recipe.class_names),
            "identity": recipe.identity,
        }
        (self._name,) = files_of(form, part)
        self._file = _Hashing(folder / self._name)
        self._writer: Any = None
        self._pending: list[Any] = []

    def append(self, rows: Rows) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        x, y = rows.compact if self._compact else rows.dense
        width = math.prod(x.shape[1:])
        values = pa.array(np.ascontiguousarray(x).reshape(-1))
        if self._compact:
            lists = pa.FixedSizeListArray.from_arrays(values, width)
            names = ("x", "y")
        else:
            ends = pa.array(np.arange(len(y) + 1, dtype=np.int32) * width)
            lists = pa.ListArray.from_arrays(ends, values)
            names = ("features", "label")
        if self._writer is None:
            self._dtype, self._shape = x.dtype.name, x.shape[1:]
            said = {**self._said, "dtype": self._dtype, "shape": self._shape}
            schema = pa.schema(
                [(names[0], lists.type), (names[1], pa.int16())],
                metadata={"cerebro-ds": json.dumps(said)},
            )
            self._writer = pq.ParquetWriter(
                self._file, schema, compression="zstd", use_dictionary=False
            )
        self._pending.append(pa.table([lists, pa.array(y)], schema=self._writer.schema))
        if sum(table.nbytes for table in self._pending) >= GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        import pyarrow as pa

        group = pa.concat_tables(self._pending)
        self._pending.clear()
        self._writer.write_table(group, row_group_size=len(group))

    def finish(self) -> Mapping[str, FileRecord]:
        if self._pending:
            self._write_group()
        self._writer.close()
        self._file.sync()
        shape = (self._rows, *(self._shape or ()))
        record = FileRecord(self._dtype, shape, self._file.bytes, self._file.digest.hexdigest())
        return {self._name: record}

    def close(self) -> None:
        self._file.close()


class CopyWriter:
    """One stream in PostgreSQL's binary format."""

    def __init__(self, folder: Path, recipe: Recipe, part: Part) -> None:
        start, stop = recipe.bounds(*part)
        self._shape = (stop - start, *recipe.input_shape)
        self._key = part[1]
        (self._name,) = files_of(COPY, part)
        self._file = _Hashing(folder / self._name)
        self._file.write(SIGNATURE)
        self._rows = 0

    def append(self, rows: Rows) -> None:
        x, y = rows.dense
        self._file.write(encode_rows(self._key, self._rows, x.reshape(len(y), -1), y))
        self._rows += len(y)

    def finish(self) -> Mapping[str, FileRecord]:
        self._file.write(TRAILER)
        self._file.sync()
        record = FileRecord(
            DTYPES["x"], self._shape, self._file.bytes, self._file.digest.hexdigest()
        )
        return {self._name: record}

    def close(self) -> None:
        self._file.close()


FORMS: Mapping[str, Callable[[Path, Recipe, Part], PartWriter]] = {
    ARRAYS: ArraysWriter,
    PARQUET: partial(ParquetWriter, form=PARQUET),
    SPARK: partial(ParquetWriter, form=SPARK),
    COPY: CopyWriter,
}
