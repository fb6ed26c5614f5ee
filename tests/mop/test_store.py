"""The model store: whole versions or none, through kills and full disks."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.errors import DataError, EnvironmentFault
from experiments.mop.store import ModelStore

SIZE = 3_000_000

SAVER = f"""
import sys
from pathlib import Path
from experiments.mop.store import ModelStore

store = ModelStore(Path(sys.argv[1]))
print("ready", flush=True)
turn = 0
while True:
    turn += 1
    store.save(1, 2, bytes([turn % 256]) * {SIZE})
"""


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def names(store: ModelStore) -> list[str]:
    return sorted(path.name for path in store.root.iterdir())


def test_save_and_load(store: ModelStore) -> None:
    store.save(3, 0, b"first")
    store.save(3, 1, memoryview(b"second"))
    assert store.load(3, 0) == b"first"
    assert store.load(3, 1) == b"second"
    assert store.has(3, 1)
    assert not store.has(3, 2)
    store.save(3, 1, b"again")
    assert store.load(3, 1) == b"again"
    assert names(store) == [store.path(3, 0).name, store.path(3, 1).name]


def test_latest_is_the_highest_version(store: ModelStore) -> None:
    assert store.latest(1) is None
    for version in (9, 10, 2):
        store.save(1, version, b"x")
    store.save(11, 99, b"x")
    assert store.latest(1) == 10


def test_discard_keeps_other_models_and_later_versions(store: ModelStore) -> None:
    for model in (1, 11):
        for version in (0, 1, 2):
            store.save(model, version, b"x")
    store.discard(1, below=2)
    store.discard(1, below=2)
    assert store.latest(1) == 2
    assert not store.has(1, 1)
    assert store.has(11, 0)


def test_what_is_missing_or_empty_is_named(store: ModelStore) -> None:
    with pytest.raises(DataError, match=rf"{store.path(1, 4).name}: cannot be read \(No such"):
        store.load(1, 4)
    store.path(1, 4).touch()
    assert not store.has(1, 4)
    with pytest.raises(DataError, match=f"{store.path(1, 4).name}: is empty"):
        store.load(1, 4)


def test_an_empty_state_is_not_saved(store: ModelStore) -> None:
    with pytest.raises(ValueError, match="a state cannot be empty"):
        store.save(1, 0, b"")
    assert names(store) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_version(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store.save(1, 0, b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(EnvironmentFault, match=r"cannot be saved \(No space left on device\)"):
            store.save(1, 0, b"new")
    assert store.load(1, 0) == b"old"
    assert names(store) == [store.path(1, 0).name]


def test_a_version_is_durable_before_it_is_visible(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.path(1, 0)
    seen = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        seen.append((Path(f"/proc/self/fd/{descriptor}").resolve().name, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    store.save(1, 0, b"x")
    (first, visible_then), (second, visible_last) = seen
    assert first.startswith(f".{path.name}.")
    assert (visible_then, second, visible_last) == (False, "models", True)


@pytest.mark.parametrize("seed", range(4))
def test_kill_during_save_leaves_a_whole_version(store: ModelStore, seed: int) -> None:
    store.save(1, 2, b"\xff" * SIZE)
    saver = subprocess.Popen(
        [sys.executable, "-c", SAVER, str(store.root)],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert saver.stdout is not None
        assert saver.stdout.readline() == "ready\n"
        time.sleep(random.Random(seed).uniform(0.0, 0.1))
    finally:
        os.kill(saver.pid, signal.SIGKILL)
        saver.communicate()
    state = store.load(1, 2)
    assert len(state) == SIZE
    assert state == state[:1] * SIZE
    assert store.latest(1) == 2
    store.discard(1, below=2)
    assert names(store) == [store.path(1, 2).name], "what the kill left is swept"
