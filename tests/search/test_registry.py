"""Which searcher a run has, whom it follows, and what is refused before anything starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import DataError, SpecError
from experiments.runner.plan import plan
from experiments.search import registry
from experiments.specs.load import run_spec
from experiments.specs.model import RunSpec
from experiments.telemetry.journal import Journal


def spec(**changes: Any) -> RunSpec:
    found = run_spec("search", "ctq", "smoke")
    assert found.search is not None
    return replace(found, search=replace(found.search, **changes))


def follows(run: RunSpec) -> str | None:
    assert run.search is not None
    return run.search.follows


def test_every_approach_follows_the_first_of_its_seed() -> None:
    runs = plan(["search"], "smoke", repeat=2)
    leaders = {run.spec.seed: run for run in runs[:2]}
    assert len(leaders) == 2
    assert all(follows(leader.spec) is None for leader in leaders.values())
    assert len(runs) > 4
    assert all(follows(run.spec) == leaders[run.spec.seed].name for run in runs[2:])


def test_with_its_own_feedback_no_approach_follows_another() -> None:
    runs = plan(["search"], "smoke", protocol="own-feedback")
    assert all(follows(run.spec) is None for run in runs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"searcher": "ashe"}, "unknown searcher 'ashe': did you mean 'asha'?"),
        ({"searcher": "grid"}, "learning_rate is loguniform in the space"),
        ({"policy": "replay:x"}, "policy replay repeats runs of a fixed grid"),
    ],
)
def test_a_search_that_cannot_be_is_refused_while_planning(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError) as error:
        plan(["search"], "smoke", **options)
    assert message in str(error.value)


def test_a_run_to_follow_that_is_not_finished_is_named(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl", "r") as journal:
        with pytest.raises(DataError) as error:
            registry.search_of(spec(follows="search-nobody"), journal)
        assert "search-nobody: this search repeats the sequence of that run" in str(error.value)
        assert registry.search_of(spec(), journal).most == 4
