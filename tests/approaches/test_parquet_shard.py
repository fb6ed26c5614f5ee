"""Partitions as Spark's Parquet: the same rows, block by block, and damage that is named."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from pyarrow import parquet

from experiments.approaches import cerebro_spark_native, partition_files
from experiments.approaches.base import RunContext, job
from experiments.approaches.parquet_shard import ParquetShard
from experiments.approaches.shard import FileShard, Shard
from experiments.datasets import SPLITS, PreparedDataset, prepare
from experiments.errors import DataError, EnvironmentFault
from experiments.models.worker import TRAIN, Report
from experiments.mop.store import ModelStore
from experiments.specs.model import DatasetSpec, ModelConfig
from experiments.specs.topology import Topology
from experiments.telemetry.journal import Event, Journal, read
from tests.conftest import Disk
from tests.faults.harness import small_spec

CONFIG = ModelConfig("linear", 1e-2, 1e-4, 16)


@pytest.fixture(scope="module")
def dataset() -> PreparedDataset:
    return prepare(DatasetSpec("blobs", 301, 90), 2, 5)


def shard_of(dataset: PreparedDataset, folder: Path, partition: int, block: int) -> ParquetShard:
    shape, classes = dataset.input_shape, dataset.classes
    return ParquetShard(str(dataset.root), str(folder), partition, block, shape, classes)


def test_rows_are_the_prepared_ones_in_row_groups_of_a_block(
    dataset: PreparedDataset, tmp_path: Path
) -> None:
    width = int(np.prod(dataset.input_shape))
    for partition in range(2):
        shard = shard_of(dataset, tmp_path, partition, 4 * width * 50)
        ((phase, start, end, moved),) = shard.cast()["spans"]
        assert phase == "etl.cast"
        assert end > start
        files = [shard.path(split) for split in SPLITS]
        assert moved == sum(file.stat().st_size for file in files)
        for split, file in zip(SPLITS, files, strict=True):
            part = dataset.partition(split, partition)
            table = parquet.read_table(file)
            np.testing.assert_array_equal(
                np.stack(table["features"].to_numpy()), part.x.reshape(len(part.y), width)
            )
            np.testing.assert_array_equal(table["label"].to_numpy(), part.y)
            rows = [block.rows for block in shard.blocks(split)]
            assert max(rows) == min(50, len(part.y))
            assert sum(rows) == len(part.y)
        again = shard.cast()
        assert again["spans"][0][3] == 0
        assert sum(each[3] for each in again["kept"]) == moved
        assert all(start <= begun < ended <= end for _, begun, ended, _ in again["kept"])
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("kind", ["train", "valid"])
def test_a_unit_ends_as_on_the_prepared_files(
    dataset: PreparedDataset, tmp_path: Path, kind: str
) -> None:
    ours = shard_of(dataset, tmp_path, 1, 2000)
    ours.cast()
    shards: list[Shard] = [ours, FileShard(str(dataset.root), 1, 2000)]
    work = {**job(CONFIG, dataset), "seed": 7}
    source, ends = str(tmp_path / "v0"), [tmp_path / "a", tmp_path / "b"]
    partition_files.create(work, source)
    reports = [
        partition_files.run_unit(kind, work, shard, source, str(end) if kind == TRAIN else None)
        for shard, end in zip(shards, ends, strict=True)
    ]
    one, other = ({**report, "spans": 0, "counters": 0} for report in reports)
    assert one == other
    if kind == TRAIN:
        assert ends[0].read_bytes() == ends[1].read_bytes()


@pytest.mark.parametrize("damage", ["missing", "cut", "overwritten", "one bit"])
def test_damage_is_named(dataset: PreparedDataset, tmp_path: Path, damage: str) -> None:
    shard = shard_of(dataset, tmp_path, 0, 2000)
    shard.cast()
    file = shard.path("train")
    if damage == "missing":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        if damage == "overwritten":
            data[4:2000] = b"\xff" * 1996
        elif damage == "one bit":
            data[1000] ^= 1
        file.write_bytes(data[:-10] if damage == "cut" else data)
    work = {**job(CONFIG, dataset), "seed": 7}
    source = str(tmp_path / "v0")
    partition_files.create(work, source)
    with pytest.raises(DataError, match=r"train-00000.parquet: cannot be read .*--fresh"):
        partition_files.run_unit("train", work, shard, source, None)


def test_a_full_disk_is_named_and_leaves_no_half_a_file(
    dataset: PreparedDataset, tmp_path: Path, disk: Disk
) -> None:
    small = tmp_path / "small"
    disk(small, "16k")
    with pytest.raises(EnvironmentFault, match=r"parquet: cannot be saved \(.*No space left"):
        shard_of(dataset, small, 0, 2000).cast()
    assert not list(small.iterdir())


def test_a_cast_that_no_journal_knows_of_is_journaled_as_what_the_files_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earlier start was killed between writing the files and saying so; in this process."""
    spec = small_spec("cerebro-spark-native", seed=3)
    prepared = prepare(spec.dataset, spec.workers, spec.seed)

    class Tasks:
        def __init__(self, context: RunContext) -> None:
            pass

        def cast(self, worker: int) -> Report:
            return shard_of(prepared, tmp_path / "parquet", worker, 2000).cast()

    monkeypatch.setattr(cerebro_spark_native, "SparkTasks", Tasks)
    told: dict[str, list[Event]] = {}
    for name in ("killed", "next", "next"):
        with Journal(tmp_path / name, name) as journal:
            nowhere = cast(Topology, None)
            context = RunContext(spec, prepared, nowhere, journal, ModelStore(tmp_path), ())
            cerebro_spark_native.Approach(context).prepare()
        told[name] = [event for event in read(tmp_path / name) if event.phase == "etl.cast"]
    assert [event.worker for event in told["killed"]] == list(range(spec.workers))
    assert not any(event.detail for event in told["killed"])
    assert all(event.detail == {"reused": True} for event in told["next"])
    for worker, first in enumerate(told["killed"]):
        again = [event for event in told["next"] if event.worker == worker]
        assert sum(event.bytes for event in again) == first.bytes
        assert 0 < sum(event.seconds for event in again) <= first.seconds
