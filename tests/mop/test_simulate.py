"""The virtual clock: workers that differ, go away and come back; and how fast it is to use."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.errors import SpecError
from experiments.mop.policy import (
    LongestFirstPolicy,
    MatchingPolicy,
    Policy,
    RandomPolicy,
    RoundRobinPolicy,
)
from experiments.mop.simulate import Absence, Ran, Workload, makespan, simulate
from experiments.specs import devices
from experiments.specs.model import ModelConfig

POLICIES = (RandomPolicy, RoundRobinPolicy, LongestFirstPolicy, MatchingPolicy)

durations = st.floats(0.1, 20.0)
absences = st.builds(
    lambda worker, start, length: Absence(worker, start, start + length),
    st.integers(0, 2),
    st.floats(0, 30),
    st.floats(0.5, 10),
)


def require_valid(ran: list[Ran], workload: Workload) -> None:
    """The four invariants on the virtual clock, and nobody works while away."""
    pairs = {(each.unit.model, each.unit.worker) for each in ran}
    assert len(ran) == len(pairs) == workload.models * workload.workers
    for place in (0, 1):
        last: dict[int, float] = {}
        for each in sorted(ran):
            who = each.unit[place]
            assert each.start >= last.get(who, 0.0)
            last[who] = each.end
    for each in ran:
        took = workload.seconds[each.unit.model, each.unit.worker]
        assert each.end - each.start == pytest.approx(took)
        assert each.start >= workload.start[each.unit.worker]
        for absence in workload.absences.get(each.unit.worker, ()):
            assert each.end <= absence.start or each.start >= absence.end


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(POLICIES),
    st.integers(0, 99),
    st.lists(durations, min_size=1, max_size=6),
    st.lists(st.floats(0.5, 3), min_size=3, max_size=3),
    st.lists(absences, max_size=4),
    st.booleans(),
)
def test_every_schedule_keeps_the_invariants(
    policy: Callable[[int], Policy],
    seed: int,
    models: list[float],
    speeds: list[float],
    away: list[Absence],
    barrier: bool,
) -> None:
    workload = Workload.of(models, speeds, hop=0.25, data=0.5, start=2.0, absences=away)
    ran = simulate(policy(seed), workload, barrier=barrier)
    require_valid(ran, workload)
    assert makespan(ran) >= workload.bound()


def test_a_unit_of_a_worker_that_goes_away_starts_again_when_it_is_back() -> None:
    workload = Workload.of([4.0], 1, absences=[Absence(0, 3.0, 10.0), Absence(0, 12.0, 13.0)])
    (only,) = simulate(RandomPolicy(0), workload)
    assert (only.start, only.end) == (13.0, 17.0)


def test_what_a_unit_takes_is_reading_training_and_hopping() -> None:
    workload = Workload.of([4.0, 8.0], [1.0, 2.0], hop=[0.5, 1.0], data=[0.1, 0.2])
    assert workload.seconds.tolist() == [[4.6, 2.7], [9.1, 5.2]]
    assert workload.bound() == pytest.approx(14.3)


def test_a_barrier_makes_everybody_wait_for_the_slowest() -> None:
    workload = Workload.of([1.0, 1.0, 1.0, 3.0], 2)
    assert makespan(simulate(RoundRobinPolicy(0), workload, barrier=True)) == 3 + 3 + 1 + 1
    assert makespan(simulate(LongestFirstPolicy(0), workload)) < 8


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Workload.of([], 2), "0 models and 2 workers"),
        (lambda: Workload.of([1.0], 0), "1 models and 0 workers"),
        (lambda: Workload.of([1.0, 0.0], 2), "seconds must be positive"),
        (lambda: Workload.of([math.nan], 2), "seconds must be positive"),
        (lambda: Workload.of([1.0], [1.0, -1.0]), "speed must be positive"),
        (lambda: Workload.of([1.0], 2, hop=-1.0), "no less than 0"),
        (lambda: Workload.of([1.0], 2, absences=[Absence(2, 0, 1)]), "no worker of 2"),
    ],
)
def test_impossible_workloads_are_refused(make: Callable[[], Workload], problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        make()


def test_a_worker_that_does_not_come_back_is_named() -> None:
    workload = Workload.of([1.0], 2, absences=[Absence(1, 0.5, math.inf)])
    with pytest.raises(SpecError, match="worker 1 does not come back"):
        simulate(RandomPolicy(0), workload)


def test_a_workload_may_come_from_the_device_table() -> None:
    """Figure 10's: round-robin keeps all workers busy, so each does its share of the whole."""
    configs = [ModelConfig("resnet50", 1e-4, 1e-4, 32)] * 8
    emulation = devices.emulation("p100", {"resnet50": 32}, dataset="imagenet")
    for workers in (1, 2, 4, 8):
        workload = Workload.on(emulation, configs, [1_281_167 // workers] * workers)
        found = makespan(simulate(RoundRobinPolicy(0), workload, barrier=True))
        assert found == pytest.approx(36235 / workers, rel=2e-3)
    slower = Workload.on(emulation, configs, [100, 200], beside=3.0)
    unit = emulation.models["resnet50"].unit_seconds("train", 200, 32)
    assert slower.seconds[:, 1] == pytest.approx(unit + 3.0)
    with pytest.raises(SpecError, match="8 models on partitions of"):
        Workload.on(emulation, configs, [5, 0])
