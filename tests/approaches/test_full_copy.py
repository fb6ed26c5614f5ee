"""A worker's copy of all data: written once, read in order, and one process's at a time."""

from __future__ import annotations

import fcntl
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.approaches import hyperopt_task
from experiments.approaches.full_copy import FullCopy
from experiments.approaches.parquet_shard import ParquetShard
from experiments.datasets import SPLITS, PreparedDataset, one_hot, prepare
from experiments.errors import ServerDied
from experiments.models.buffers import BufferCache
from experiments.models.worker import Report
from experiments.specs.model import DatasetSpec


@pytest.fixture(scope="module")
def dataset() -> PreparedDataset:
    return prepare(DatasetSpec("blobs", 301, 90), 3, 5)


def copy_of(dataset: PreparedDataset, folder: Path) -> FullCopy:
    shape, classes = dataset.input_shape, dataset.classes
    first = ParquetShard(str(dataset.root), str(folder), 0, 4096, shape, classes)
    return FullCopy(str(folder), tuple(replace(first, partition=part) for part in range(3)))


def ready(copy: FullCopy) -> Report:
    return copy.ready(BufferCache(0), lambda: None)


def test_what_is_not_there_is_written_and_measured(
    dataset: PreparedDataset, tmp_path: Path
) -> None:
    copy = copy_of(dataset, tmp_path)
    ((phase, start, end, moved),) = ready(copy)["spans"]
    files = {path: path.stat().st_size for path in tmp_path.iterdir()}
    assert (phase, moved, len(files)) == ("etl.cast", sum(files.values()), 6)
    assert end > start
    assert ready(copy) == {"spans": []}
    lost = copy.parts[1].path("valid")
    lost.unlink()
    assert [span[3] for span in ready(copy)["spans"]] == [files[lost]]


def test_all_partitions_are_read_in_order(dataset: PreparedDataset, tmp_path: Path) -> None:
    copy = copy_of(dataset, tmp_path)
    ready(copy)
    for split in SPLITS:
        found = {block.key: block.read() for block in copy.blocks(split)}
        assert len(found) > 3
        read = list(found.values())
        parts = [dataset.partition(split, partition) for partition in range(3)]
        y = one_hot(np.concatenate([part.y for part in parts]), dataset.classes)
        np.testing.assert_array_equal(
            np.concatenate([x for x, _ in read]), np.concatenate([part.x for part in parts])
        )
        np.testing.assert_array_equal(np.concatenate([labels for _, labels in read]), y)


def test_a_process_becomes_the_first_worker_that_is_free(
    dataset: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hyperopt_task, "CLAIM_SECONDS", 0.2)
    copies = tuple(copy_of(dataset, tmp_path / f"node-{node}") for node in range(2))
    claim = hyperopt_task._claim.__wrapped__
    Path(copies[0].folder).mkdir()
    with Path(copies[0].folder, "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert claim(copies) == 1
        with pytest.raises(ServerDied, match=r"all 2 copies .* are held"):
            claim(copies)
    assert claim(copies) == 0
