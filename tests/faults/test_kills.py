"""Kill anything at any moment, give the same command again: the same weights, one unit lost."""

from __future__ import annotations

import pytest

from experiments.approaches.base import Trait, find
from experiments.specs.load import approaches
from tests.faults.harness import FaultyRun, random_kills, small_spec

KILLS = 5


def runs(approach: str) -> int:
    """How many: fewer where every death costs all ranks an import of torch and a new group."""
    return 2 if Trait.DATA_PARALLEL in find(approach).traits else 4


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("approach", "seed"), [(each, seed) for each in approaches() for seed in range(runs(each))]
)
def test_a_run_survives_seeded_kills(approach: str, seed: int) -> None:
    run = FaultyRun.of(small_spec(approach, seed))
    run.complete(random_kills(approach, seed, KILLS))
    assert len(run.killed) == KILLS
    run.check()
