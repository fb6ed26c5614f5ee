"""Kill anything at any moment, give the same command again: the same weights, one unit lost."""

from __future__ import annotations

import pytest

from experiments.specs.load import approaches
from tests.faults.harness import FaultyRun, random_kills, small_spec

RUNS, KILLS = 4, 5


@pytest.mark.parametrize("seed", range(RUNS))
@pytest.mark.parametrize("approach", approaches())
def test_a_run_survives_seeded_kills(approach: str, seed: int) -> None:
    run = FaultyRun.of(small_spec(approach, seed))
    run.complete(random_kills(approach, seed, KILLS))
    assert len(run.killed) == KILLS
    run.check()
