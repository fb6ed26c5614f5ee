"""Preparation: what is written, for every number of partitions, and how it fails."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.datasets import (
    SOURCES,
    SPLITS,
    PreparedDataset,
    RowReader,
    Split,
    fingerprint,
    one_hot,
    prepare,
)
from experiments.datasets.blobs import Blobs
from experiments.datasets.recipe import Recipe
from experiments.errors import DataError, EnvironmentFault, SpecError
from experiments.specs.model import DatasetSpec

SPEC = DatasetSpec("blobs", 203, 51)


def laid_end_to_end(data: PreparedDataset, split: Split) -> tuple[bytes, bytes]:
    parts = [data.partition(split, k) for k in range(data.partitions)]
    return b"".join(p.x.tobytes() for p in parts), b"".join(p.y.tobytes() for p in parts)


def test_fashion_mnist_arrives_whole(tmp_path: Path) -> None:
    """All 70,000 rows, each once, in bounded memory."""
    tracemalloc.start()
    data = prepare(DatasetSpec("fashion-mnist", 60_000, 10_000), 4, seed=3, root=tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6
    data.verify()
    for split in SPLITS:
        per_class = 6000 if split == "train" else 1000
        y = np.concatenate([data.partition(split, k).y for k in range(4)])
        assert np.bincount(y).tolist() == [per_class] * 10
    total = sum(float(data.partition("train", k).x.sum(dtype=np.float64)) for k in range(4))
    assert total / 60_000 / 784 == pytest.approx(0.2860, abs=1e-4)
    assert data.input_shape == (28, 28, 1)
    assert (data.classes, data.class_names[9]) == (10, "Ankle boot")


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_rows_do_not_depend_on_the_number_of_partitions(name: str, tmp_path: Path) -> None:
    spec = DatasetSpec(name, 203, 51)
    sets = [prepare(spec, w, seed=11, root=tmp_path) for w in range(1, 9)]
    for split in SPLITS:
        assert len({laid_end_to_end(data, split) for data in sets}) == 1
    assert len({data.fingerprint for data in sets}) == 8


def test_fewer_rows_are_a_prefix(tmp_path: Path) -> None:
    many = prepare(SPEC, 1, seed=1, root=tmp_path).partition("train", 0)
    few = prepare(replace(SPEC, train_rows=80), 1, seed=1, root=tmp_path).partition("train", 0)
    assert np.array_equal(many.x[:80], few.x)
    assert np.array_equal(many.y[:80], few.y)


def test_seed_chooses_the_rows_and_repeats_them(tmp_path: Path) -> None:
    first = prepare(SPEC, 2, seed=1, root=tmp_path / "a")
    again = prepare(SPEC, 2, seed=1, root=tmp_path / "b")
    other = prepare(SPEC, 2, seed=2, root=tmp_path / "b")
    assert first.manifest == again.manifest
    assert laid_end_to_end(first, "train") == laid_end_to_end(again, "train")
    assert laid_end_to_end(first, "train") != laid_end_to_end(other, "train")


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 40), st.integers(0, 100_000))
def test_partitions_are_balanced(partitions: int, extra: int) -> None:
    rows = partitions + extra
    recipe = Recipe("blobs", {}, (1,), ("a", "b"), rows, rows, partitions, 0, "code")
    bounds = [recipe.bounds("train", k) for k in range(partitions)]
    assert (bounds[0][0], bounds[-1][1]) == (0, rows)
    assert all(left[1] == right[0] for left, right in pairwise(bounds))
    sizes = [stop - start for start, stop in bounds]
    assert max(sizes) - min(sizes) <= 1


def test_block_borders_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prepare(SPEC, 3, seed=1, root=tmp_path / "a")
    monkeypatch.setattr("experiments.datasets.partitioning.BLOCK_BYTES", 7 * 8 * 8 * 4)
    assert prepare(SPEC, 3, seed=1, root=tmp_path / "b").manifest == whole.manifest


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        source = Blobs(train_rows=rows)
        tracemalloc.start()
        prepare(DatasetSpec("blobs", rows, 10), 2, seed=1, root=tmp_path, source=source)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    small, large = peak(50_000), peak(300_000)
    assert large < 1.1 * small
    assert large < 64e6  # the table is 77 MB


def test_it_is_made_once(tmp_path: Path) -> None:
    first = prepare(SPEC, 2, seed=1, root=tmp_path)
    before = (first.root / "manifest.json").stat()
    again = prepare(SPEC, 2, seed=1, root=tmp_path)
    assert again == first == PreparedDataset.open(first.root)
    assert (first.root / "manifest.json").stat() == before
    assert os.listdir(tmp_path) == [first.root.name]
    assert first.fingerprint == fingerprint(SPEC, 2, seed=1)
    assert first.fingerprint[:16] in first.root.name


def test_the_fingerprint_covers_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {
        fingerprint(SPEC, 2, 1),
        fingerprint(SPEC, 3, 1),
        fingerprint(SPEC, 2, 2),
        fingerprint(replace(SPEC, train_rows=204), 2, 1),
        fingerprint(replace(SPEC, valid_rows=52), 2, 1),
        fingerprint(replace(SPEC, name="fashion-mnist"), 2, 1),
        Recipe.of(SPEC, Blobs(seed=1), 2, 1).fingerprint,
    }
    monkeypatch.setattr("experiments.datasets.recipe.code_version", lambda: "other")
    seen.add(fingerprint(SPEC, 2, 1))
    assert len(seen) == 8


def test_another_user_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        data = prepare(SPEC, 2, seed=1, root=tmp_path / "new" / "root")
    finally:
        os.umask(before)
    for path in (tmp_path / "new", tmp_path / "new" / "root", *(tmp_path / "new").rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o755 if path.is_dir() else 0o644), path
    assert sorted(path.name for path in data.root.iterdir()) == ["manifest.json", "train", "valid"]


def test_the_manifest_says_what_is_there(tmp_path: Path) -> None:
    data = prepare(SPEC, 2, seed=9, root=tmp_path)
    said = json.loads((data.root / "manifest.json").read_text())
    assert said["classes"] == 4
    assert said["licence"].startswith("Apache-2.0")
    assert said["recipe"]["seed"] == 9
    assert said["recipe"]["class_names"][0] == "blob 0"
    record = said["files"]["train/1/x.npy"]
    assert record["shape"] == [102, 8, 8, 1] == list(data.partition("train", 1).x.shape)
    assert record["dtype"] == "float32"
    assert (data.rows("train", 0), data.rows("valid", 1)) == (101, 26)


def test_partitions_are_mapped_and_read_only(tmp_path: Path) -> None:
    part = prepare(SPEC, 2, seed=1, root=tmp_path).partition("valid", 0)
    assert isinstance(part.x, np.memmap)
    assert isinstance(part.y, np.memmap)
    assert (part.x.dtype.name, part.y.dtype.name) == ("float32", "int16")
    with pytest.raises(ValueError, match="read-only"):
        part.x[0] = 0


@pytest.mark.parametrize(
    ("spec", "partitions", "complaint"),
    [
        (DatasetSpec("blobs", 8193, 10), 1, "8193 train rows asked for, the most it has is 8192"),
        (DatasetSpec("blobs", 10, 2049), 1, "2049 valid rows asked for, the most it has is 2048"),
        (DatasetSpec("blobs", 3, 10), 4, "3 train rows cannot fill 4 partitions"),
        (DatasetSpec("blobs", 10, 0), 1, "0 valid rows cannot fill 1 partitions"),
        (DatasetSpec("blobs", 10, 10), 0, "at least one partition"),
        (DatasetSpec("blob", 10, 10), 1, "nearest name is 'blobs'"),
    ],
)
def test_what_does_not_fit_is_refused(
    spec: DatasetSpec, partitions: int, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=complaint):
        prepare(spec, partitions, seed=1, root=tmp_path)
    with pytest.raises(SpecError, match=complaint):
        fingerprint(spec, partitions, seed=1)
    assert os.listdir(tmp_path) == []


def test_a_missing_partition_is_refused(tmp_path: Path) -> None:
    data = prepare(SPEC, 2, seed=1, root=tmp_path)
    for partition in (-1, 2):
        with pytest.raises(IndexError, match=r"partitions 0\.\.1"):
            data.partition("train", partition)


@dataclass(frozen=True)
class Spoilt(Blobs):
    """Blobs with one bad value in validation row 17."""

    fault: str = ""

    @contextmanager
    def open(self, split: Split, scratch: Path) -> Iterator[RowReader]:
        with super().open(split, scratch) as inner:
            yield SpoiltReader(inner, self.fault if split == "valid" else "")


@dataclass(frozen=True)
class SpoiltReader:
    inner: RowReader
    fault: str

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
        x, y = self.inner.take(rows)
        match self.fault:
            case "nan":
                x[rows == 17, 0, 0] = np.nan
            case "label":
                y[rows == 17] = 4
            case "shape":
                x = x[:, :7]
            case "disk":
                raise OSError(28, "No space left on device")
        return x, y


@pytest.mark.parametrize(
    ("fault", "error", "complaint"),
    [
        ("nan", DataError, "valid row 17 holds NaN"),
        ("label", DataError, r"valid row 17 has label 4, outside 0\.\.3"),
        ("shape", DataError, r"valid rows of shape \[7, 8, 1\], not \[8, 8, 1\]"),
    ],
)
def test_bad_rows_leave_nothing(
    fault: str, error: type[Exception], complaint: str, tmp_path: Path
) -> None:
    source = Spoilt(valid_rows=51, fault=fault)
    with pytest.raises(error, match=complaint):
        prepare(SPEC, 2, seed=1, root=tmp_path, source=source)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_what_is_finished(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"disk of .* is full"):
        prepare(SPEC, 2, 1, tmp_path, source=Spoilt(valid_rows=51, fault="disk"))
    (half,) = tmp_path.iterdir()
    finished = (half / "train/1/x.npy").stat()
    made = prepare(SPEC, 2, 1, tmp_path, source=Spoilt(valid_rows=51))
    assert (made.root / "train/1/x.npy").stat().st_ino == finished.st_ino
    assert [path.name for path in tmp_path.iterdir()] == [made.root.name]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_disk_is_checked_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(
        EnvironmentFault, match=r"needs 268 MB in .*, where 1 MB are free"
    ) as caught:
        prepare(DatasetSpec("fashion-mnist", 60_000, 10_000), 2, seed=1, root=tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_the_disk_check_is_close_to_what_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepare(SPEC, 2, seed=1, root=tmp_path / "a")
    used = sum(record.bytes for record in data.manifest.files.values())
    for spare, fits in ((-1, False), (0, True)):
        free = used + (1 << 20) + spare
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: Usage(0, 0, free))
        if fits:
            prepare(SPEC, 2, seed=1, root=tmp_path / "b")
        else:
            with pytest.raises(EnvironmentFault):
                prepare(SPEC, 2, seed=1, root=tmp_path / "b")


def test_a_file_in_place_of_the_root_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(EnvironmentFault, match="taken cannot be written"):
        prepare(SPEC, 2, seed=1, root=tmp_path / "taken")


def test_one_hot() -> None:
    coded = one_hot(np.array([2, 0, 1], np.int16), 3)
    assert coded.dtype == np.int16
    assert coded.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert one_hot(np.array([], np.int16), 3).shape == (0, 3)
    for label in (-1, 3):
        with pytest.raises(ValueError, match=r"0\.\.2"):
            one_hot([label], 3)
