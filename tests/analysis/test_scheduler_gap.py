"""The scheduler gap: bounds hold, better policies are better, runs are over their own bound."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from experiments.analysis import scheduler_gap
from experiments.analysis.runs import Run
from experiments.errors import DataError, SpecError
from experiments.mop.simulate import makespan
from tests.analysis.scheduled_runs import emulated, run, schedule
from tests.analysis.words import check_words_fit, words

QUICK = scheduler_gap.Effort(seeds=6, searches=1, seconds=0.1, per_worker=2)


@pytest.fixture(scope="module")
def alone() -> pd.DataFrame:
    return scheduler_gap.table([], QUICK)


def runs_of(*points: tuple[str, int]) -> list[Run]:
    """Runs of CTQ by (policy, seed)."""
    specs = [emulated("scheduler-gap", "ctq", workers=3, policy=p, seed=s) for p, s in points]
    return [run(spec, f"{n}", schedule(spec)) for n, spec in enumerate(specs)]


def ratio(table: pd.DataFrame, workload: str, policy: str, per_worker: float) -> float:
    of = table[table["evidence"] == "simulated"].set_index(["workload", "policy", "per_worker"])
    return float(of.loc[(workload, policy, per_worker), "ratio"])


def test_nothing_is_shorter_than_the_bound_and_optimal_is_the_shortest(alone: pd.DataFrame) -> None:
    assert (alone["low"] >= 1 - 1e-9).all()
    asked = alone[alone["policy"] == "optimal"]
    assert sorted(set(asked["per_worker"])) == [1, 1.5, 2]
    assert (asked["gap"] <= 0.01).all()
    assert (asked["ratio"] <= 1.01).all()
    assert set(alone["per_worker"]) == set(scheduler_gap.PER_WORKER)


def test_a_better_policy_removes_what_random_order_loses(alone: pd.DataFrame) -> None:
    """The goals: 1.15 times at as many models as workers, within 3 % from twice as many on."""
    assert ratio(alone, "alike", "random", 1) / ratio(alone, "alike", "matching", 1) > 1.1
    for workload in ("alike", "mixed"):
        for per_worker in (2, 3, 4, 8, 16, 32, 64):
            assert ratio(alone, workload, "matching", per_worker) < 1.03
    assert ratio(alone, "mixed", "round_robin", 4) > 2


def test_runs_are_over_the_bound_of_their_own_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler_gap, "PER_WORKER", (1, 2))
    runs = runs_of(("random", 1), ("random", 2), ("matching", 1), ("matching", 2))
    table = scheduler_gap.table(runs, QUICK)
    ours = table[table["evidence"] == "emulated"].set_index("policy")
    assert set(ours["workload"]) == {"alike"}
    assert ours["seeds"].tolist() == [2, 2]
    ends = [makespan(schedule(each.spec)) for each in runs]
    assert ours.loc["random", "seconds"] == pytest.approx((ends[0] + ends[1]) / 2, rel=1e-6)
    assert ours.loc["matching", "ratio"] == pytest.approx(1.0, abs=1e-6)
    slower = ours.loc["random", "seconds"] / ours.loc["matching", "seconds"]
    assert ours.loc["random", "ratio"] == pytest.approx(slower, rel=1e-6)
    figure = scheduler_gap.figure(table, runs, "smoke")
    check_words_fit(figure)
    said = words(figure)
    assert "matching (emulated runs)" in said
    assert f"matching {slower:.2f} times as fast" in said


def test_runs_that_differ_in_more_are_refused() -> None:
    other = emulated("scheduler-gap", "ctq", workers=2, seed=7)
    with pytest.raises(SpecError, match="they differ in workers"):
        scheduler_gap.table([*runs_of(("random", 1)), run(other, "x", schedule(other))], QUICK)
    (broken,) = runs_of(("random", 1))
    spans = tuple(event for event in broken.events if event.kind != "unit_finished")
    with pytest.raises(DataError, match="no finished unit"):
        scheduler_gap.table([replace(broken, events=spans)], QUICK)


def test_without_runs_the_figure_says_so(alone: pd.DataFrame) -> None:
    figure = scheduler_gap.figure(alone, [], "smoke")
    check_words_fit(figure)
    assert "no runs here" in words(figure)
    assert "at most" in words(figure)
    assert scheduler_gap.summary(alone).loc[("alike", "simulated", "optimal"), 1] <= 1.01
