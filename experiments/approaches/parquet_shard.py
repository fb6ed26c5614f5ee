"""A worker's rows in Parquet files, as Spark writes and reads them.

A file holds one partition of one split: ``features``, a list of float32, and ``label``, int16. A
row group is a block, so a partition never has to fit into memory as a whole. ``pyarrow`` is
imported by the functions that use it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.approaches.base import RunContext
from experiments.datasets import SPLITS, PreparedDataset, one_hot
from experiments.datasets.source import Split
from experiments.errors import DataError
from experiments.files import unwritable
from experiments.models.buffers import BufferCache
from experiments.models.worker import SPLIT_OF, Block, Report, Rows

_TOOK = b"cerebro_ds.took"
"""Key of a file's metadata under which it says when its writing began and ended, in nanoseconds.

Who wrote it may be killed before a journal says so."""


@dataclass(frozen=True)
class ParquetShard:
    """A partition of a prepared data set, cast to Parquet.

    Attributes
    ----------
    dataset : folder of the prepared data set.
    folder : of the Parquet files; made when they are written.
    block_bytes : of the features in one row group.
    input_shape, classes : of the data set.
    """

    dataset: str
    folder: str
    partition: int
    block_bytes: int
    input_shape: tuple[int, ...]
    classes: int

    def path(self, split: str) -> Path:
        """Where a split's file lies."""
        return Path(self.folder, f"{split}-{self.partition:05d}.parquet")

    def cast(self) -> Report:
        """Write both splits' files from the prepared ones; those that are there are kept.

        Returns
        -------
        A report whose ``kept`` has, like ``spans``, what writing the files took that were there.

        Raises
        ------
        EnvironmentFault
            The disk is full or the folder cannot be written.
        """
        start = time.monotonic_ns()
        moved, kept = 0, []
        data = PreparedDataset.open(Path(self.dataset))
        for split in SPLITS:
            target = self.path(split)
            if target.exists():
                kept += _took(target)
            else:
                try:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    moved += self._write(data, split, target)
                except OSError as error:
                    raise unwritable(target, error) from error
        return {"spans": [["etl.cast", start, time.monotonic_ns(), moved]], "kept": kept}

    def load(self) -> Report:
        """Import what reading takes."""
        from pyarrow import parquet  # noqa: F401

        return {"spans": []}

    def ready(self, cache: BufferCache, check: Callable[[], None]) -> Report:
        """Nothing: what is not cached is read when it is wanted."""
        return {"spans": []}

    def blocks(self, kind: str) -> Generator[Block, None, None]:
        """All rows of a kind of unit, a row group at a time.

        Raises
        ------
        DataError
            A file is missing or damaged; the message names it.
        """
        from pyarrow import parquet

        file = self.path(SPLIT_OF[kind])
        with _damage_named(file):
            opened = parquet.ParquetFile(file, memory_map=True, page_checksum_verification=True)
        with opened:
            for group in range(opened.num_row_groups):
                rows = opened.metadata.row_group(group).num_rows
                yield Block((str(file), group), partial(self._read, file, opened, group), rows)

    def _read(self, file: Path, opened: Any, group: int) -> Rows:
        with _damage_named(file):
            table = opened.read_row_group(group, use_threads=False)
        (features,) = table.column("features").chunks
        x = features.flatten().to_numpy().reshape(-1, *self.input_shape)
        return x, one_hot(table.column("label").to_numpy(), self.classes)

    def _write(self, data: PreparedDataset, split: Split, target: Path) -> int:
        """Write one file, aside and then renamed; its bytes."""
        import pyarrow as pa
        from pyarrow import parquet

        begun = time.monotonic_ns()
        part = data.partition(split, self.partition)
        width = int(np.prod(self.input_shape))
        block = max(1, self.block_bytes // (4 * width))
        features = pa.list_(pa.float32(), width)
        schema = pa.schema([("features", features), ("label", pa.int16())])
        aside = target.with_name(f".{target.name}")
        options = {"use_dictionary": False, "write_page_checksum": True}
        try:
            with parquet.ParquetWriter(aside, schema, **options) as writer:
                for start in range(0, len(part.y), block):
                    x = np.array(part.x[start : start + block]).reshape(-1)
                    columns = [
                        pa.FixedSizeListArray.from_arrays(pa.array(x), type=features),
                        pa.array(np.array(part.y[start : start + block]), pa.int16()),
                    ]
                    table = pa.Table.from_arrays(columns, schema=schema)
                    writer.write_table(table, row_group_size=block)
                writer.add_key_value_metadata({_TOOK: json.dumps([begun, time.monotonic_ns()])})
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        return target.stat().st_size


def _took(file: Path) -> list[list[Any]]:
    """The span of writing a file, as the file itself says; nothing where it cannot."""
    from pyarrow import parquet

    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        begun, ended = json.loads(parquet.read_metadata(file).metadata[_TOOK])
        return [["etl.cast", begun, ended, file.stat().st_size]]
    return []


def parquet_shards(context: RunContext) -> list[ParquetShard]:
    """Every worker's shard of the run's data set.

    Any executor may take any shard, so the files lie where all nodes see them.
    """
    return [
        ParquetShard(
            str(context.dataset.root),
            str(context.store.root / "parquet"),
            partition,
            context.spec.protocol.buffer_bytes,
            context.dataset.input_shape,
            context.dataset.classes,
        )
        for partition in range(context.spec.workers)
    ]


@contextlib.contextmanager
def _damage_named(file: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{file}: cannot be read ({' '.join(str(error).split())}); start over with --fresh, "
            "which writes it again"
        ) from None
