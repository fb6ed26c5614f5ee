"""The wheel folder: real pip, tiny wheels, no network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from experiments import paths
from experiments.errors import EnvironmentFault
from experiments.runtime.image_wheels import REQUIREMENTS, wheels
from tests.door.tiny_door import wheel

MAIN = "main"


class Locks:
    """Two locks in the place of the main environment's, and a folder that pip looks into."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.offered, self.locks = root / "offered", (root / "main.txt", root / "cuda.txt")
        self.offered.mkdir()
        self.said: list[str] = []
        locks = cast(dict[str, tuple[Path, ...]], paths.LOCKS)
        monkeypatch.setitem(locks, MAIN, self.locks)
        monkeypatch.setenv(paths.STATE_VARIABLE, str(root / "state"))
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_FIND_LINKS", str(self.offered))
        self.write(self.entry("alpha"))

    def entry(self, name: str, *needs: str) -> str:
        return f"{name}==1.0 \\\n    --hash=sha256:{wheel(self.offered, name, '1.0', needs)}\n"

    def write(self, main: str, cuda: str = "") -> None:
        for lock, text in zip(self.locks, (main, cuda), strict=True):
            lock.write_text(text, encoding="utf-8")

    def fetch(self, torch: str = "cpu") -> set[str]:
        folder = wheels(MAIN, torch, self.said.append)
        assert not list(folder.parent.glob("*.tmp"))
        return {file.name for file in folder.iterdir()}


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Locks:
    return Locks(tmp_path, monkeypatch)


def test_a_folder_is_made_once_and_says_what_it_holds(locks: Locks, tmp_path: Path) -> None:
    assert locks.fetch() == {"alpha-1.0-py3-none-any.whl", REQUIREMENTS}
    written = next(tmp_path.glob(f"state/wheels/*/{REQUIREMENTS}"))
    digest = locks.locks[0].read_text("utf-8").partition("sha256:")[2].strip()
    assert written.read_text("utf-8") == f"alpha==1.0 --hash=sha256:{digest}\n"
    for file in locks.offered.iterdir():
        file.unlink()
    assert REQUIREMENTS in locks.fetch()


def test_a_wrong_checksum_is_refused_and_nothing_is_left(locks: Locks, tmp_path: Path) -> None:
    text = locks.locks[0].read_text("utf-8")
    locks.write(text[: text.index("sha256:")] + f"sha256:{'0' * 64}\n")
    with pytest.raises(EnvironmentFault, match="DO NOT MATCH") as caught:
        locks.fetch()
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("state/wheels/*"))


def test_a_package_that_is_not_to_be_had_names_ways_out(locks: Locks) -> None:
    locks.write(f"beta==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with pytest.raises(EnvironmentFault, match=r"beta==1\.0.*PIP_INDEX_URL.*--load"):
        locks.fetch()


def test_cuda_comes_with_a_torch_that_asks_for_it(locks: Locks) -> None:
    cuda = locks.entry("nvidia_cudnn")
    cuda = cuda.replace("nvidia_cudnn", "nvidia-cudnn")
    locks.write(locks.entry("torch"), cuda)
    assert locks.fetch() == {"torch-1.0-py3-none-any.whl", REQUIREMENTS}
    locks.write(locks.entry("torch", "nvidia-cudnn (==1.0)"), cuda)
    assert "nvidia_cudnn-1.0-py3-none-any.whl" in locks.fetch()
    assert locks.said == []


def test_a_build_without_cuda_is_not_taken_for_one_with(locks: Locks) -> None:
    cuda = locks.entry("nvidia_cudnn").replace("nvidia_cudnn", "nvidia-cudnn")
    locks.write(locks.entry("torch"), cuda)
    with pytest.raises(EnvironmentFault, match="pip takes a build of torch without CUDA: unset"):
        locks.fetch("cuda")


def test_where_no_cpu_build_is_offered_the_registrys_is_taken(locks: Locks) -> None:
    locks.write(f"torch==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with pytest.raises(EnvironmentFault):  # there is no registry here
        locks.fetch()
    assert locks.said == ["pip is offered no CPU build of torch: taking the registry's, with CUDA"]


def test_too_little_room_is_told_before_anything_is_fetched(
    locks: Locks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    with pytest.raises(EnvironmentFault, match=r"1\.0 GB are free in .*/wheels.*CEREBRO_DS_HOME"):
        locks.fetch()
