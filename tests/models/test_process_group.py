"""Ranks that meet, lose each other and meet again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from experiments.models import process_group
from experiments.models.rank import share, steps

CHILD = """
import os, sys
from pathlib import Path
from experiments.errors import ServerDied
from experiments.models import process_group
from experiments.models.process_group import Group
import torch.distributed
process_group.MEET_SECONDS = 3.0
rank = int(sys.argv[2])
print("ready", flush=True)
for line in sys.stdin:
    name, fault = line.split()
    if fault == "vanish":
        torch.distributed.init_process_group = lambda *_, **__: os._exit(0)
    try:
        with process_group.joined(Group(name, Path(sys.argv[1]), rank, 2, "127.0.0.1")):
            for step in range(100):
                if step == 10 and fault == "die":
                    os.kill(os.getpid(), 9)
                if step == 10 and fault == "fail":
                    raise ValueError("its own fault")
                torch.distributed.all_reduce(torch.ones(10))
        print("done", flush=True)
    except (ServerDied, ValueError) as error:
        print(type(error).__name__, error, flush=True)
os._exit(0)
"""


class Rank:
    """A process that joins one group after the other, as it is told."""

    def __init__(self, folder: Path, number: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def join(self, name: str, fault: str = "none") -> None:
        assert self.process.stdin
        print(name, fault, file=self.process.stdin, flush=True)

    def said(self) -> str:
        """Its next line; empty if it has died."""
        assert self.process.stdout
        return self.process.stdout.readline().rstrip()


Start = Callable[[int], Rank]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a rank of two; ends all of them after the test."""
    ranks: list[Rank] = []

    def begin(number: int) -> Rank:
        ranks.append(Rank(tmp_path, number))
        return ranks[-1]

    yield begin
    for rank in ranks:
        rank.process.kill()
        rank.process.communicate()


def test_a_rank_that_died_is_told_of_and_another_process_takes_its_place(start: Start) -> None:
    survivor, dead = start(0), start(1)
    assert [survivor.said(), dead.said()] == ["ready", "ready"]
    survivor.join("first")
    dead.join("first", "die")
    assert survivor.said().startswith("ServerDied rank 0 lost the other ranks (")
    assert dead.said() == ""
    new = start(1)
    survivor.join("second")
    assert survivor.said() == "ServerDied rank 1 did not meet rank 0 within 3 s"
    assert new.said() == "ready"
    for rank in (survivor, new):
        rank.join("third")
    assert [survivor.said(), new.said()] == ["done", "done"]


def test_a_rank_that_died_while_connecting_does_not_spoil_later_groups(start: Start) -> None:
    survivor, dead, new = start(0), start(1), start(1)
    assert [survivor.said(), dead.said(), new.said()] == ["ready"] * 3
    survivor.join("first")
    dead.join("first", "vanish")
    assert survivor.said().startswith("ServerDied rank 0 lost the others while connecting (")
    for rank in (survivor, new):
        rank.join("second")
    assert [survivor.said(), new.said()] == ["done", "done"]


def test_a_rank_that_fails_releases_the_others_and_they_meet_again(start: Start) -> None:
    other, failed = start(0), start(1)
    assert [other.said(), failed.said()] == ["ready", "ready"]
    other.join("first")
    failed.join("first", "fail")
    assert failed.said() == "ValueError its own fault"
    assert other.said().startswith("ServerDied rank 0 lost the other ranks (")
    for rank in (other, failed):
        rank.join("second")
    assert [other.said(), failed.said()] == ["done", "done"]


@pytest.mark.parametrize(
    ("devices", "backend"),
    [
        (["GPU-a", "GPU-b"], "nccl"),
        (["GPU-a", "GPU-a"], "gloo"),
        (["MIG-a", "MIG-b"], "gloo"),
        (["GPU-a", "cpu"], "gloo"),
        (["cpu", "cpu"], "gloo"),
    ],
)
def test_gpus_reduce_by_nccl_where_no_two_ranks_share_one(devices: list[str], backend: str) -> None:
    assert process_group._backend(devices) == backend


@pytest.mark.parametrize(
    ("batch", "size", "expected"), [(32, 2, [16, 16]), (32, 3, [11, 11, 10]), (3, 3, [1, 1, 1])]
)
def test_a_batch_is_shared_whole(batch: int, size: int, expected: list[int]) -> None:
    assert [share(batch, size, rank) for rank in range(size)] == expected


def test_an_epoch_lasts_until_every_rank_has_seen_its_rows() -> None:
    assert steps(32, [100, 100]) == 7  # as ceil(200 / 32)
    assert steps(32, [101, 100, 100]) == 10
    assert steps(2, [5, 4]) == 5
