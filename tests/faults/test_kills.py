"""Kill anything at any moment, give the same command again: the same weights, one unit lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.approaches.base import Trait, find
from experiments.runner import spark
from tests.contracts.conftest import contract_spec
from tests.families import OWN, PACKAGES
from tests.faults.harness import CLI, DRIVER, FaultyRun, Kill, random_kills, small_spec, victims

SEEDS, KILLS = 2, 5

# Each start of a Spark cluster and its session takes some ten seconds of both cores, so one run
# has to do for all victims. Ranks in step begin again together, which takes as long.
SPARK_SEED, SPARK_KILLS = 1, 6


def cases() -> list[tuple[str, int, int]]:
    """Approach, seed and number of kills of every run."""
    on_spark = [(each, SPARK_SEED, SPARK_KILLS) for each in OWN if spark.is_on(each)]
    in_step = [each for each in OWN if Trait.DATA_PARALLEL in find(each).traits]
    others = [each for each in OWN if not spark.is_on(each) and each not in in_step]
    return [
        *((each, seed, KILLS) for each in others for seed in range(SEEDS)),
        *((each, seed, KILLS) for seed, each in enumerate(in_step)),
        *on_spark,
    ]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("approach", "seed", "kills"), cases())
def test_a_run_survives_seeded_kills(approach: str, seed: int, kills: int) -> None:
    run = FaultyRun.of(small_spec(approach, seed))
    run.complete(random_kills(approach, seed, kills))
    assert len(run.killed) == kills
    run.check()


@pytest.mark.parametrize("approach", [name for name in OWN if spark.is_on(name)])
def test_one_run_on_spark_loses_everything_once(approach: str) -> None:
    chosen = {kill.victim for kill in random_kills(approach, SPARK_SEED, SPARK_KILLS)}
    assert chosen == {*victims(approach)} - {CLI}


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("package_python")
@pytest.mark.parametrize("approach", PACKAGES)
def test_a_package_that_was_killed_begins_again(approach: str) -> None:
    run = FaultyRun.of(replace(contract_spec(approach), experiment="faults", epochs=1))
    run.complete([Kill(DRIVER, "unit_finished", 2)])
    run.check()
    (start,) = (event for event in run.events() if event.kind == "run_started")
    assert start.detail == {"evidence": "measured", "resumed": False, "earlier": 1}
    trained = [e for e in run.events() if e.kind == "unit_finished" and e.detail["kind"] == "train"]
    assert len(trained) == len(run.run.spec.configs) * run.run.spec.workers
    assert len(run.run.folder.earlier) == 1
