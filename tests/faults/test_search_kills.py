"""Kill a search at any moment, give the same command again: nothing is asked twice or lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from experiments.search.journaled import assignments_of
from experiments.specs.model import RunSpec
from experiments.specs.search import Axis, SearchSpec
from tests.faults.harness import (
    DRIVER,
    ENDS_THE_COMMAND,
    FaultyRun,
    Kill,
    small_spec,
    victims,
)

WAYS = ("cerebro-standalone", "udaf", "ma", "pytorch-ddp", "hyperopt-spark")
"""One approach for each way of being searched: by the engine, in rounds, in turns (in a database,
and in step), by trials."""


def search_spec(approach: str) -> RunSpec:
    """ASHA over five configurations, two at a time; promotions go on from saved states."""
    small = small_spec(approach, seed=4)
    space = (
        Axis("architecture", "choice", ("linear",)),
        Axis("learning_rate", "loguniform", (1e-4, 1e-1)),
        Axis("regularization", "choice", (1e-4,)),
        Axis("batch_size", "choice", (small.configs[0].batch_size,)),
    )
    search = SearchSpec("asha", 5, 2, False, 1, 2, 1, space)
    return replace(small, epochs=2, configs=(), search=search)


@pytest.mark.parametrize("approach", WAYS)
def test_a_killed_search_asks_nothing_twice_and_loses_no_result(approach: str) -> None:
    role = next(each for each in reversed(victims(approach)) if each not in ENDS_THE_COMMAND)
    run = FaultyRun.of(search_spec(approach))
    run.complete((Kill(role, "unit_started", 8, delay=0.05), Kill(DRIVER, "told", 2, delay=0.02)))
    assert len(run.killed) == 2
    run.check()
    events = run.events()
    asked = [(a.model, a.stop) for e in events if e.kind == "asked" for a in assignments_of(e)]
    told = [(event.model, event.epoch) for event in events if event.kind == "told"]
    evaluated = Counter((e.model, e.epoch) for e in events if e.kind == "evaluated")
    assert max(Counter(asked).values()) == 1
    assert sorted(map(str, asked)) == sorted(map(str, told))
    assert sum(stop == 1 for _, stop in asked) == 5
    assert any(stop == 2 for _, stop in asked)
    assert set(evaluated.values()) == {1}
    assert set(told) <= set(evaluated)
