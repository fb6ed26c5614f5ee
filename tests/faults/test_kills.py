"""Kill anything at any moment, give the same command again: the same weights, one unit lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contracts.conftest import contract_spec
from tests.families import OWN, PACKAGES
from tests.faults.harness import DRIVER, FaultyRun, Kill, random_kills, small_spec

RUNS, KILLS = 4, 5


@pytest.mark.parametrize("seed", range(RUNS))
@pytest.mark.parametrize("approach", OWN)
def test_a_run_survives_seeded_kills(approach: str, seed: int) -> None:
    run = FaultyRun.of(small_spec(approach, seed))
    run.complete(random_kills(approach, seed, KILLS))
    assert len(run.killed) == KILLS
    run.check()


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("package_python")
@pytest.mark.parametrize("approach", PACKAGES)
def test_a_package_that_was_killed_begins_again(approach: str) -> None:
    run = FaultyRun.of(replace(contract_spec(approach), experiment="faults", epochs=1))
    run.complete([Kill(DRIVER, "unit_finished", 2)])
    run.check()
    (start,) = (event for event in run.events() if event.kind == "run_started")
    assert start.detail == {"resumed": False, "earlier": 1}
    trained = [e for e in run.events() if e.kind == "unit_finished" and e.detail["kind"] == "train"]
    assert len(trained) == len(run.run.spec.configs) * run.run.spec.workers
    assert len(run.run.folder.earlier) == 1
