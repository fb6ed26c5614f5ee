"""Units on partitions that lie in Parquet files, as Spark writes and reads them.

A file holds one partition of one split: ``features``, a list of float32, and ``label``, int16. A
row group is a block, so a partition never has to fit into memory as a whole. ``pyarrow`` is
imported by the functions that use it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Hashable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.approaches.partition_files import BlockReader, carry_out
from experiments.datasets import SPLITS, PreparedDataset, one_hot
from experiments.errors import DataError
from experiments.files import unwritable
from experiments.models.worker import TRAIN, Report, Rows


def path(folder: Path, split: str, partition: int) -> Path:
    """Where a partition's file lies."""
    return folder / f"{split}-{partition:05d}.parquet"


def cast(dataset: str, partition: int, folder: str, block_bytes: int) -> Report:
    """Write a partition of a prepared data set, both splits, as Parquet; files there are kept.

    Parameters
    ----------
    dataset : folder of the prepared data set.
    folder : where the files go; made if missing.
    block_bytes : of the features in one row group.

    Raises
    ------
    EnvironmentFault
        The disk is full or the folder cannot be written.
    """
    start = time.monotonic_ns()
    moved = 0
    data = PreparedDataset.open(Path(dataset))
    for split in SPLITS:
        target = path(Path(folder), split, partition)
        if not target.exists():
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                moved += _write(data, split, partition, target, block_bytes)
            except OSError as error:
                raise unwritable(target, error) from error
    return {"spans": [["etl.cast", start, time.monotonic_ns(), moved]], "counters": {}}


def _write(
    data: PreparedDataset, split: Any, partition: int, target: Path, block_bytes: int
) -> int:
    """Write one file, aside and then renamed; its bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    part = data.partition(split, partition)
    width = int(np.prod(data.input_shape))
    block = max(1, block_bytes // (4 * width))
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
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    return target.stat().st_size


def run_unit(
    kind: str,
    job: Mapping[str, Any],
    folder: str,
    partition: int,
    source: str,
    target: str | None,
) -> Report:
    """Load a state, train or evaluate one partition, dump the state.

    Parameters
    ----------
    folder : of the files that :func:`cast` wrote.
    source, target : files of the state before and after; an evaluation has no target.

    Raises
    ------
    DataError
        A file is missing or damaged; the message names it.
    """
    split = "train" if kind == TRAIN else "valid"
    file = path(Path(folder), split, partition)
    return carry_out(kind, job, source, target, _blocks(file, job["model"]))


def _blocks(file: Path, model: Mapping[str, Any]) -> Iterator[tuple[Hashable, BlockReader]]:
    from pyarrow import parquet

    with _damage_named(file):
        opened = parquet.ParquetFile(file, memory_map=True, page_checksum_verification=True)
    with opened:
        for group in range(opened.num_row_groups):
            yield (str(file), group), partial(_read, file, opened, group, model)


def _read(file: Path, opened: Any, group: int, model: Mapping[str, Any]) -> Rows:
    with _damage_named(file):
        table = opened.read_row_group(group, use_threads=False)
    (features,) = table.column("features").chunks
    x = features.flatten().to_numpy().reshape(-1, *model["input_shape"])
    return x, one_hot(table.column("label").to_numpy(), model["classes"])


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
