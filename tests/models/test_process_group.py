"""Ranks that meet, lose each other and meet again."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.models.rank import share, steps

CHILD = """
import os, sys
from pathlib import Path
from experiments.errors import ServerDied
from experiments.models import process_group
from experiments.models.process_group import Group
import torch.distributed
process_group.MEET_SECONDS = 3.0
rank, deadly = int(sys.argv[2]), sys.argv[3]
for name in ("first", "second"):
    group = Group(name, Path(sys.argv[1]), rank, 2, "127.0.0.1")
    try:
        with process_group.joined(group):
            for step in range(100):
                if rank == 1 and step == 10 and name == "first":
                    if deadly == "die":
                        os.kill(os.getpid(), 9)
                    if deadly == "fail":
                        raise ValueError("its own fault")
                torch.distributed.all_reduce(torch.ones(10))
        print(name, "done", flush=True)
    except (ServerDied, ValueError) as error:
        print(name, type(error).__name__, error, flush=True)
os._exit(0)
"""


def said_by_ranks(folder: Path, deadly: str) -> tuple[list[str], list[str], float]:
    """What each of two ranks says, and how many seconds both took."""
    start = time.monotonic()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), str(rank), deadly],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for rank in range(2)
    ]
    first, second = (child.communicate(timeout=60)[0].splitlines() for child in children)
    return first, second, time.monotonic() - start


def test_a_rank_that_dies_ends_the_others_work_at_once_and_by_name(tmp_path: Path) -> None:
    survivor, dead, seconds = said_by_ranks(tmp_path, "die")
    assert survivor[0].startswith("first ServerDied rank 0 lost the other ranks (")
    assert survivor[1].startswith("second ServerDied rank 0 did not meet all other ranks (")
    assert dead == []
    assert seconds < 40


def test_a_rank_that_fails_releases_the_others_and_they_meet_again(tmp_path: Path) -> None:
    other, failed, _ = said_by_ranks(tmp_path, "fail")
    assert failed == ["first ValueError its own fault", "second done"]
    assert other[0].startswith("first ServerDied rank 0 lost the other ranks (")
    assert other[1] == "second done"


@pytest.mark.parametrize(
    ("batch", "size", "expected"), [(32, 2, [16, 16]), (32, 3, [11, 11, 10]), (3, 3, [1, 1, 1])]
)
def test_a_batch_is_shared_whole(batch: int, size: int, expected: list[int]) -> None:
    assert [share(batch, size, rank) for rank in range(size)] == expected


def test_an_epoch_lasts_until_every_rank_has_seen_its_rows() -> None:
    assert steps(32, [100, 100]) == 7  # as ceil(200 / 32)
    assert steps(32, [101, 100, 100]) == 10
    assert steps(2, [5, 4]) == 5
