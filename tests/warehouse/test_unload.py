"""Prepared files to segments to Parquet: the same values, or nothing and a reason."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from experiments.datasets import SPLITS, PreparedDataset, prepare
from experiments.errors import DataError, EnvironmentFault
from experiments.specs.model import DatasetSpec
from experiments.warehouse import sums
from experiments.warehouse import unload as unload_module
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.load import load
from experiments.warehouse.unload import Cast, unload
from tests.conftest import Disk


@pytest.fixture(scope="module")
def loaded(cluster: Cluster, dataset: PreparedDataset) -> str:
    load(cluster, dataset, "train", "unloaded")
    return "unloaded"


def on_segment(cluster: Cluster, key: int, statement: str) -> None:
    with cluster.session(cluster.segments[key]) as session, session.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("name", ["blobs", "criteo-synthetic-546"])
def test_what_was_prepared_comes_out_value_for_value(
    cluster: Cluster, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unload_module, "BLOCK_BYTES", 2_000)
    prepared = prepare(DatasetSpec(name, 301, 64), 2, seed=3)
    for split in SPLITS:
        sent = load(cluster, prepared, split, f"round_{split}")
        came = unload(cluster, f"round_{split}", tmp_path)
        assert came.rows == sent.rows
        assert came.bytes == sum(file.stat().st_size for file in came.files)
        assert came.kept == 0
        for key, file in enumerate(came.files):
            part = prepared.partition(split, key)
            table = parquet.read_table(file)
            x = np.stack(table["x"].to_numpy())
            assert x.dtype == np.float32
            assert x.tobytes() == part.x.tobytes()
            assert table["y"].to_numpy().tolist() == part.y.tolist()
            if split == "train":
                assert parquet.read_metadata(file).num_row_groups > 2
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    "cast", [Cast("float64", "int32"), Cast(labels="int64", fixed_size=True)], ids=str
)
def test_types_are_those_asked_for(
    cluster: Cluster, dataset: PreparedDataset, loaded: str, tmp_path: Path, cast: Cast
) -> None:
    came = unload(cluster, loaded, tmp_path, cast)
    table = parquet.read_table(came.files[1], page_checksum_verification=True)
    assert table.schema.equals(cast.schema(256 // 4), check_metadata=False)
    part = dataset.partition("train", 1)
    np.testing.assert_array_equal(np.stack(table["x"].to_numpy()), part.x.reshape(-1, 64))
    np.testing.assert_array_equal(table["y"].to_numpy(), part.y)
    assert unload(cluster, loaded, tmp_path, cast).kept == 2
    assert unload(cluster, loaded, tmp_path).kept == 0


def test_a_killed_unload_goes_on_after_the_segments_that_are_done(
    cluster: Cluster, loaded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = unload_module._written

    @contextlib.contextmanager
    def stops(file: Path, schema: Any) -> Iterator[Any]:
        with written(file, schema) as writer:
            yield writer
            if file.stem.endswith("-1"):
                time.sleep(600)

    monkeypatch.setattr(unload_module, "_written", stops)
    child = multiprocessing.get_context("fork").Process(
        target=unload, args=(cluster, loaded, tmp_path)
    )
    child.start()
    done, half = tmp_path / "unloaded-0.parquet", tmp_path / ".unloaded-1.parquet"
    deadline = time.monotonic() + 60
    while not (done.exists() and half.exists()) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.kill()
    child.join()
    monkeypatch.undo()
    assert sorted(tmp_path.iterdir()) == [half, done]
    first = done.stat()
    came = unload(cluster, loaded, tmp_path)
    assert came.kept == 1
    assert came.rows == 301
    assert (done.stat().st_ino, done.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    assert sorted(tmp_path.iterdir()) == sorted(came.files)
    fresh = unload(cluster, loaded, tmp_path / "..", Cast())
    for one, other in zip(came.files, fresh.files, strict=True):
        assert one.read_bytes() == other.read_bytes()
        other.unlink()


def test_a_file_that_does_not_hold_what_the_segment_holds_is_written_again(
    cluster: Cluster, dataset: PreparedDataset, tmp_path: Path
) -> None:
    load(cluster, dataset, "train", "changes")
    files = unload(cluster, "changes", tmp_path).files
    on_segment(cluster, 1, "UPDATE changes SET y = 1 - y WHERE id = 7")
    os.truncate(files[0], files[0].stat().st_size - 9)
    came = unload(cluster, "changes", tmp_path)
    assert came.kept == 0
    y = parquet.read_table(files[1])["y"].to_numpy()
    differ = y != dataset.partition("train", 1).y
    assert np.flatnonzero(differ).tolist() == [7]
    assert parquet.read_metadata(files[0]).num_rows == dataset.rows("train", 0)


def test_rows_that_arrive_otherwise_make_no_file(
    cluster: Cluster, loaded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_rows(x: Any, y: Any) -> sums.Sums:
        return len(y), b"another", int(y.sum())

    monkeypatch.setattr(sums, "of_rows", of_rows)
    with pytest.raises(DataError, match=r"unloaded on segment 0: rows from 0 on came otherwise"):
        unload(cluster, loaded, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("DELETE FROM odd WHERE id = 5", "ids of its rows do not count from 0"),
        ("UPDATE odd SET x = x || x WHERE id = 5", "not as loading makes it"),
    ],
)
def test_a_table_that_is_not_as_loaded_is_named(
    cluster: Cluster, dataset: PreparedDataset, tmp_path: Path, spoil: str, message: str
) -> None:
    load(cluster, dataset, "valid", "odd")
    on_segment(cluster, 1, spoil)
    with pytest.raises(DataError, match=f"table odd on segment 1.*{message}"):
        unload(cluster, "odd", tmp_path)
    assert not (tmp_path / "odd-1.parquet").exists()


def test_an_empty_segment_gives_an_empty_file(
    cluster: Cluster, loaded: str, tmp_path: Path
) -> None:
    on_segment(cluster, 0, "CREATE TABLE hollow (LIKE unloaded INCLUDING ALL)")
    on_segment(cluster, 1, "CREATE TABLE hollow (LIKE unloaded INCLUDING ALL)")
    came = unload(cluster, "hollow", tmp_path)
    assert came.rows == 0
    assert parquet.read_table(came.files[0]).num_rows == 0


def test_a_full_disk_is_one_line_and_leaves_nothing(
    cluster: Cluster, loaded: str, tmp_path: Path, disk: Disk
) -> None:
    small = tmp_path / "small"
    disk(small, "16k")
    with pytest.raises(EnvironmentFault, match=r"parquet: cannot be saved \(.*No space left") as e:
        unload(cluster, loaded, small)
    assert "\n" not in str(e.value)
    assert not list(small.iterdir())
