"""Raw data: the registry, Fashion-MNIST as installed and as damaged, the synthetic blobs."""

from __future__ import annotations

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from experiments.datasets import SOURCES, SPLITS, Source, find_source
from experiments.datasets.blobs import Blobs
from experiments.datasets.fashion_mnist import FOLDER, SHA256, FashionMnist
from experiments.errors import DataError, SpecError

LABELS = "t10k-labels-idx1-ubyte.gz"
IMAGES = "t10k-images-idx3-ubyte.gz"


def take(source: Source, rows: list[int], scratch: Path) -> tuple[np.ndarray, np.ndarray]:
    with source.open("valid", scratch) as reader:
        return reader.take(np.array(rows, np.int64))


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_source_keeps_the_contract(name: str, tmp_path: Path) -> None:
    source = find_source(name)
    assert source.info.name == name
    assert source.info.description
    assert source.info.licence
    with source.open("train", tmp_path) as reader:
        used = sum(file.stat().st_size for file in tmp_path.rglob("*"))
        assert used <= source.scratch_bytes("train")
        rows = np.array([5, 0, source.rows("train") - 1, 5], np.int64)
        x, y = reader.take(rows)
        again, _ = reader.take(rows[::-1].copy())
    assert (x.dtype.name, y.dtype.name) == ("float32", "int16")
    assert x.shape == (4, *source.info.input_shape)
    assert np.array_equal(x, again[::-1])
    assert np.array_equal(x[0], x[3])
    assert 0 <= y.min() <= y.max() < len(source.info.class_names)


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(SpecError, match=r"'fashon_mnist'.*nearest name is 'fashion-mnist'"):
        find_source("fashon_mnist")
    with pytest.raises(
        SpecError,
        match=r"blobs, criteo, criteo-generated, criteo-synthetic-1092, .*fashion-mnist, flights",
    ):
        find_source("")


def test_fashion_mnist_is_what_the_raw_files_say(tmp_path: Path) -> None:
    rows = [0, 9999, 1234]
    x, y = take(FashionMnist(), rows, tmp_path)
    pixels = np.frombuffer(gzip.decompress((FOLDER / IMAGES).read_bytes())[16:], np.uint8)
    labels = np.frombuffer(gzip.decompress((FOLDER / LABELS).read_bytes())[8:], np.uint8)
    expected = pixels.reshape(-1, 28, 28, 1)[rows].astype(np.float32) / np.float32(255)
    assert np.array_equal(x, expected)
    assert np.array_equal(y, labels[rows])
    assert x.max() == 1.0


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in SHA256:
        (folder / f"{name}.gz").symlink_to(FOLDER / f"{name}.gz")
    return folder


def refused(folder: Path, tmp_path: Path) -> str:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(DataError) as caught:
        take(FashionMnist(folder), [0], scratch)
    return str(caught.value)


def replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize("name", [LABELS, IMAGES])
def test_a_missing_file_names_package_and_command(copy: Path, tmp_path: Path, name: str) -> None:
    (copy / name).unlink()
    message = refused(copy, tmp_path)
    assert str(copy / name) in message
    assert "apt-get install dataset-fashion-mnist" in message


@pytest.mark.parametrize("name", [LABELS, IMAGES])
@pytest.mark.parametrize("kept", [0, 5, 2000, -9, -4])
def test_a_truncated_file_is_named(copy: Path, tmp_path: Path, name: str, kept: int) -> None:
    replace(copy / name, (FOLDER / name).read_bytes()[: kept or None] if kept else b"")
    message = refused(copy, tmp_path)
    assert f"{copy / name} is truncated" in message
    assert "apt-get install --reinstall" in message


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        (0, "is not an intact gzip file (Not a gzipped file"),
        (2500, "does not hold the data"),
        (-6, "is not an intact gzip file (CRC check failed"),
    ],
)
def test_a_corrupt_gzip_is_named(copy: Path, tmp_path: Path, place: int, complaint: str) -> None:
    data = bytearray((FOLDER / LABELS).read_bytes())
    data[place] ^= 0xFF
    replace(copy / LABELS, bytes(data))
    assert f"{copy / LABELS} {complaint}" in refused(copy, tmp_path)


def idx(magic: bytes, shape: tuple[int, ...], payload: bytes) -> bytes:
    return gzip.compress(magic + struct.pack(f">{len(shape)}I", *shape) + payload, mtime=0)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (idx(b"\0\0\x0d\1", (10_000,), bytes(10_000)), "starts with 00000d01"),
        (idx(b"\0\0\x08\3", (10_000, 28, 28), b""), "starts with 00000803"),
        (idx(b"\0\0\x08\1", (9_999,), bytes(9_999)), r"shape (9999,), not (10000,)"),
        (idx(b"\0\0\x08\1", (10_000,), bytes(9_999)), "is truncated"),
        (idx(b"\0\0\x08\1", (10_000,), bytes(10_001)), "does not hold the data"),
        (idx(b"\0\0\x08\1", (10_000,), bytes(10_000)), "does not hold the data"),
        (b"", "is truncated"),
        (b"not a gzip file at all", "is not an intact gzip file"),
    ],
)
def test_a_wrong_file_is_named(copy: Path, tmp_path: Path, content: bytes, complaint: str) -> None:
    replace(copy / LABELS, content)
    message = refused(copy, tmp_path)
    assert str(copy / LABELS) in message
    assert complaint in message


def test_another_packing_of_the_same_data_is_accepted(copy: Path, tmp_path: Path) -> None:
    replace(copy / LABELS, gzip.compress(gzip.decompress((FOLDER / LABELS).read_bytes()), 1))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    _, y = take(FashionMnist(copy), [0, 1, 2], scratch)
    assert y.tolist() == [9, 2, 1]
    shutil.rmtree(scratch)


def test_a_folder_in_place_of_a_file_is_named(copy: Path, tmp_path: Path) -> None:
    (copy / LABELS).unlink()
    (copy / LABELS).mkdir()
    assert f"{copy / LABELS} cannot be read" in refused(copy, tmp_path)


def test_blobs_can_be_learnt_and_have_their_spread(tmp_path: Path) -> None:
    source = Blobs(shape=(4, 4, 1), classes=3, train_rows=3000, spread=0.5)
    with source.open("train", tmp_path) as reader:
        x, y = reader.take(np.arange(3000, dtype=np.int64))
    flat = x.reshape(3000, -1)
    centres = np.stack([flat[y == k].mean(axis=0) for k in range(3)])
    nearest = ((flat[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == y).mean() > 0.95
    assert abs((flat - centres[y]).std() - 0.5) < 0.01
    assert np.bincount(y, minlength=3).min() > 850


def test_blobs_differ_by_split_and_seed(tmp_path: Path) -> None:
    rows = np.arange(50, dtype=np.int64)
    seen = []
    for seed in (0, 1):
        for split in SPLITS:
            with Blobs(seed=seed).open(split, tmp_path) as reader:
                seen.append(reader.take(rows)[0].tobytes())
    assert len(set(seen)) == 4
