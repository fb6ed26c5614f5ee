"""Damage on disk, killed preparations, and several at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.datasets import PreparedDataset, prepare
from experiments.datasets.aside import aside, sweep
from experiments.errors import DataError
from experiments.specs.model import DatasetSpec

SPEC = DatasetSpec("blobs", 203, 51)

PREPARE = """
import sys, time
from pathlib import Path
from experiments.datasets import blobs, prepare
from experiments.specs.model import DatasetSpec

pause = float(sys.argv[2])
take = blobs._Generator.take

def slow(self, rows):
    time.sleep(pause)
    return take(self, rows)

blobs._Generator.take = slow
print(prepare(DatasetSpec("blobs", 203, 51), 2, 1, Path(sys.argv[1])).root, flush=True)
"""


def start(root: Path, pause: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE, str(root), str(pause)],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def data(tmp_path: Path) -> PreparedDataset:
    return prepare(SPEC, 2, 1, tmp_path / "datasets")


def test_every_damaged_file_is_named(data: PreparedDataset) -> None:
    data.verify()
    for name in data.manifest.files:
        path = data.root / name
        intact = path.read_bytes()
        path.write_bytes(intact[:-1] + bytes([intact[-1] ^ 1]))
        data.verify(quick=True)
        with pytest.raises(DataError, match=f"{path} is damaged.*delete the folder {data.root}"):
            data.verify()
        path.write_bytes(intact[:-1])
        for quick in (True, False):
            with pytest.raises(DataError, match=f"{path} has"):
                data.verify(quick=quick)
        path.unlink()
        with pytest.raises(DataError, match=f"{path} cannot be read"):
            data.verify(quick=True)
        path.write_bytes(intact)
    data.verify()


def test_a_damaged_set_is_not_reused_silently(data: PreparedDataset) -> None:
    (data.root / "train/0/x.npy").unlink()
    with pytest.raises(DataError, match=r"train/0/x\.npy cannot be read"):
        prepare(SPEC, 2, 1, data.root.parent)


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x93NUMPY\x01\x00"])
def test_a_partition_that_is_no_array_is_named(data: PreparedDataset, content: bytes) -> None:
    (data.root / "train/0/y.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"train/0/y\.npy cannot be opened"):
        data.partition("train", 0)


def test_a_partition_of_another_shape_is_named(data: PreparedDataset) -> None:
    (data.root / "train/0/x.npy").write_bytes((data.root / "valid/0/x.npy").read_bytes())
    with pytest.raises(DataError, match=r"train/0/x.npy holds float32 \[25, 8, 8, 1\], not"):
        data.partition("train", 0)


def spoil(said: dict[str, Any], how: str) -> Any:
    match how:
        case "list":
            return [said]
        case "field":
            del said["recipe"]["seed"]
        case "extra":
            said["recipe"]["colour"] = "red"
        case "edited":
            said["recipe"]["train_rows"] += 1
        case "file":
            del said["files"]["train/1/x.npy"]
        case "record":
            del said["files"]["train/1/x.npy"]["sha256"]
    return said


@pytest.mark.parametrize("how", ["list", "field", "extra", "edited", "file", "record"])
def test_a_spoilt_manifest_is_named(data: PreparedDataset, how: str) -> None:
    path = data.root / "manifest.json"
    path.write_text(json.dumps(spoil(json.loads(path.read_text()), how)))
    with pytest.raises(DataError, match=f"{path} is not.*delete the folder {data.root} and run"):
        PreparedDataset.open(data.root)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null"])
def test_an_unreadable_manifest_is_named(data: PreparedDataset, content: bytes) -> None:
    path = data.root / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path} is not the manifest"):
        prepare(SPEC, 2, 1, data.root.parent)


def test_a_missing_manifest_is_named(data: PreparedDataset) -> None:
    (data.root / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"manifest\.json cannot be read.*delete the folder"):
        prepare(SPEC, 2, 1, data.root.parent)


@pytest.fixture
def half_made(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A preparation of which another process has finished one partition, and that process."""
    root = tmp_path / "half"
    with start(root, pause=1.5) as process:
        deadline = time.monotonic() + 20
        while not list(root.glob(".*.making/train/1/x.npy")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        yield root, process
        process.kill()


def test_a_killed_preparation_goes_on(
    half_made: tuple[Path, subprocess.Popen[str]], data: PreparedDataset
) -> None:
    root, process = half_made
    (theirs,) = root.glob(".*.making")
    process.kill()
    process.wait()
    finished = (theirs / "train/0/x.npy").stat()
    (theirs / "train/1").mkdir(exist_ok=True)
    (theirs / "train/1/x.npy").write_bytes(b"half")
    again = prepare(SPEC, 2, 1, root)
    again.verify()
    assert again.manifest == data.manifest
    assert (again.root / "train/0/x.npy").stat().st_ino == finished.st_ino
    assert [path.name for path in root.iterdir()] == [again.root.name]
    assert sorted(os.listdir(again.root)) == ["manifest.json", "train", "valid"]


def test_one_that_was_killed_just_before_its_end_is_whole(data: PreparedDataset) -> None:
    half = data.root.with_name(f".{data.root.name}.making")
    data.root.rename(half)
    again = prepare(SPEC, 2, 1, data.root.parent)
    again.verify()
    assert os.listdir(again.root.parent) == [again.root.name]
    assert sorted(os.listdir(again.root)) == ["manifest.json", "train", "valid"]


def test_what_was_abandoned_long_ago_is_swept(tmp_path: Path) -> None:
    names = [".blobs-0.making", ".blobs-1.making", ".something-else"]
    for name in names:
        (tmp_path / name).mkdir()
    os.utime(tmp_path / names[0], (0, 0))
    made = prepare(SPEC, 2, 1, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*names[1:], made.root.name}


def test_a_folder_in_the_making_is_locked(tmp_path: Path) -> None:
    with aside(tmp_path / "blobs-0") as folder:
        assert folder is not None
        (folder / "part").touch()
        os.utime(folder, (0, 0))
        sweep(tmp_path)
        assert folder.exists()
    sweep(tmp_path)
    assert not folder.exists()


def test_several_processes_may_prepare_at_once(tmp_path: Path) -> None:
    processes = [start(tmp_path, pause=0.05) for _ in range(3)]
    answers = set()
    for process in processes:
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        answers.add(out.strip())
    assert len(answers) == 1
    assert {str(path) for path in tmp_path.iterdir()} == answers
    PreparedDataset.open(Path(answers.pop())).verify()
