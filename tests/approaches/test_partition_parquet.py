"""Partitions as Spark's Parquet: the same rows, block by block, and damage that is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from experiments.approaches import partition_files, partition_parquet
from experiments.approaches.base import job
from experiments.datasets import SPLITS, PreparedDataset, prepare
from experiments.errors import DataError, EnvironmentFault
from experiments.models.worker import TRAIN
from experiments.specs.model import DatasetSpec, ModelConfig
from tests.conftest import Disk

CONFIG = ModelConfig("linear", 1e-2, 1e-4, 16)


@pytest.fixture(scope="module")
def dataset() -> PreparedDataset:
    return prepare(DatasetSpec("blobs", 301, 90), 2, 5)


def test_rows_are_the_prepared_ones_in_row_groups_of_a_block(
    dataset: PreparedDataset, tmp_path: Path
) -> None:
    width = int(np.prod(dataset.input_shape))
    for partition in range(2):
        report = partition_parquet.cast(str(dataset.root), partition, str(tmp_path), 4 * width * 50)
        ((phase, start, end, moved),) = report["spans"]
        assert phase == "etl.cast"
        assert end > start
        files = [partition_parquet.path(tmp_path, split, partition) for split in SPLITS]
        assert moved == sum(file.stat().st_size for file in files)
        for split, file in zip(SPLITS, files, strict=True):
            part = dataset.partition(split, partition)
            table = parquet.read_table(file)
            assert parquet.ParquetFile(file).num_row_groups == -(-len(part.y) // 50)
            np.testing.assert_array_equal(
                np.stack(table["features"].to_numpy()), part.x.reshape(len(part.y), width)
            )
            np.testing.assert_array_equal(table["label"].to_numpy(), part.y)
    assert partition_parquet.cast(str(dataset.root), 0, str(tmp_path), 1)["spans"][0][3] == 0
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("kind", ["train", "valid"])
def test_a_unit_ends_as_on_the_prepared_files(
    dataset: PreparedDataset, tmp_path: Path, kind: str
) -> None:
    partition_parquet.cast(str(dataset.root), 1, str(tmp_path / "parquet"), 2000)
    work = {**job(CONFIG, dataset), "seed": 7}
    source, ends = str(tmp_path / "v0"), [tmp_path / "a", tmp_path / "b"]
    partition_files.create(work, source)
    targets = [str(end) if kind == TRAIN else None for end in ends]
    folder = str(tmp_path / "parquet")
    ours = partition_parquet.run_unit(kind, work, folder, 1, source, targets[0])
    theirs = partition_files.run_unit(kind, work, str(dataset.root), 1, source, targets[1], 2000)
    assert {**ours, "spans": 0, "counters": 0} == {**theirs, "spans": 0, "counters": 0}
    if kind == TRAIN:
        assert ends[0].read_bytes() == ends[1].read_bytes()


@pytest.mark.parametrize("damage", ["missing", "cut", "overwritten", "one bit"])
def test_damage_is_named(dataset: PreparedDataset, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / damage
    partition_parquet.cast(str(dataset.root), 0, str(folder), 2000)
    file = partition_parquet.path(folder, "train", 0)
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
        partition_parquet.run_unit("train", work, str(folder), 0, source, None)


def test_a_full_disk_is_named_and_leaves_no_half_a_file(
    dataset: PreparedDataset, tmp_path: Path, disk: Disk
) -> None:
    small = tmp_path / "small"
    disk(small, "16k")
    with pytest.raises(EnvironmentFault, match=r"parquet: cannot be saved \(.*No space left"):
        partition_parquet.cast(str(dataset.root), 0, str(small), 2000)
    assert not list(small.iterdir())
