"""Kill anything at any moment, give the same command again: the same weights, one unit lost."""

from __future__ import annotations

import pytest

from experiments.runner import spark
from experiments.specs.load import approaches
from tests.faults.harness import CLI, FaultyRun, random_kills, small_spec, victims

RUNS, KILLS = range(4), 5

# Each start of a Spark cluster and its session takes some ten seconds of both cores, so one run
# has to do for all victims.
SPARK_RUNS, SPARK_KILLS = (1,), 6


def cases() -> list[tuple[str, int, int]]:
    """Approach, seed and number of kills of every run."""
    return [
        (name, seed, SPARK_KILLS if spark.is_on(name) else KILLS)
        for name in approaches()
        for seed in (SPARK_RUNS if spark.is_on(name) else RUNS)
    ]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("approach", "seed", "kills"), cases())
def test_a_run_survives_seeded_kills(approach: str, seed: int, kills: int) -> None:
    run = FaultyRun.of(small_spec(approach, seed))
    run.complete(random_kills(approach, seed, kills))
    assert len(run.killed) == kills
    run.check()


@pytest.mark.parametrize("approach", [name for name in approaches() if spark.is_on(name)])
def test_one_run_on_spark_loses_everything_once(approach: str) -> None:
    chosen = {
        kill.victim for seed in SPARK_RUNS for kill in random_kills(approach, seed, SPARK_KILLS)
    }
    assert chosen == {*victims(approach)} - {CLI}
