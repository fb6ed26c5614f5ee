"""Partitions with replicas on the virtual clock: workers are lost, come back, and work goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

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
from experiments.mop.replicas import Holders, chained, simulate_replicas
from experiments.mop.simulate import Absence, Ran, Workload, makespan, simulate

POLICIES = (RandomPolicy, RoundRobinPolicy, LongestFirstPolicy, MatchingPolicy)
WORKERS = 4

absences = st.builds(
    lambda worker, start, length: Absence(worker, start, start + length),
    st.integers(0, WORKERS - 1),
    st.floats(0, 40),
    st.floats(0.5, 15),
)


def require_valid(ran: Sequence[Ran], workload: Workload, holders: Holders) -> None:
    """Each unit once, on a holder that is there all the time, nobody in two places at a time."""
    assert len(ran) == len({each.unit for each in ran}) == workload.models * workload.workers
    last: dict[tuple[str, int], float] = {}
    for each in sorted(ran):
        for who in (("worker", each.worker), ("model", each.unit.model)):
            assert each.start >= last.get(who, 0.0)
            last[who] = each.end
    for each in ran:
        assert each.worker in holders[each.unit.partition]
        took = workload.seconds[each.unit.model, each.worker]
        assert each.end - each.start == pytest.approx(took)
        assert each.start >= workload.start[each.worker]
        for absence in workload.absences.get(each.worker, ()):
            assert each.end <= absence.start or each.start >= absence.end


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(POLICIES),
    st.integers(0, 99),
    st.lists(st.floats(0.1, 20.0), min_size=1, max_size=6),
    st.lists(st.floats(0.5, 3), min_size=WORKERS, max_size=WORKERS),
    st.integers(1, WORKERS),
    st.lists(absences, max_size=6),
    st.sets(st.integers(0, WORKERS - 1), max_size=WORKERS - 1),
    st.booleans(),
)
def test_every_schedule_keeps_the_invariants(
    policy: Callable[[int], Policy],
    seed: int,
    models: list[float],
    speeds: list[float],
    copies: int,
    away: list[Absence],
    gone: set[int],
    barrier: bool,
) -> None:
    """Fewer workers go away for good than there are copies, so a copy of everything stays."""
    lost = sorted(gone)[: copies - 1]
    away = [*away, *(Absence(worker, 10.0 + worker, math.inf) for worker in lost)]
    workload = Workload.of(models, speeds, start=1.0, absences=away)
    holders = chained(WORKERS, copies)
    ran = simulate_replicas(policy(seed), workload, holders, barrier=barrier)
    require_valid(ran, workload, holders)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("models", [3, 8, 40])
def test_one_copy_and_nobody_lost_is_the_plain_clock(
    policy: Callable[[int], Policy], models: int
) -> None:
    workload = Workload.of([1.0 + 0.37 * (model % 5) for model in range(models)], [1.0, 1.5, 0.7])
    plain = simulate(policy(3), workload)
    assert sorted(simulate_replicas(policy(3), workload, chained(3, 1))) == sorted(plain)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_lost_workers_units_run_where_a_replica_lives(policy: Callable[[int], Policy]) -> None:
    workload = Workload.of([2.0] * 8, 4, absences=[Absence(1, 3.0, math.inf)])
    ran = simulate_replicas(policy(1), workload, chained(4, 2))
    late = [each for each in ran if each.end > 3.0]
    assert {each.worker for each in late} == {0, 2, 3}
    assert {each.worker for each in late if each.unit.partition == 1} == {2}
    assert {each.worker for each in ran if each.end <= 3.0} == {0, 1, 2, 3}


def test_a_lost_unit_starts_again_at_once_elsewhere() -> None:
    workload = Workload.of([4.0], 2, absences=[Absence(0, 1.0, math.inf)])
    ran = simulate_replicas(LongestFirstPolicy(0), workload, [(0, 1), (0, 1)])
    assert [(each.start, each.end, each.worker) for each in sorted(ran)] == [
        (1.0, 5.0, 1),
        (5.0, 9.0, 1),
    ]


def test_workers_that_hold_everything_share_one_partitions_units() -> None:
    """So a model need not visit every worker, and several work on one partition at a time."""
    workload = Workload.of([1.0] * 4, 2, absences=[Absence(0, 0.0, 0.5)])
    everywhere = chained(2, 2)
    ran = simulate_replicas(LongestFirstPolicy(0), workload, everywhere)
    assert makespan(ran) == pytest.approx(4.5)
    alone = simulate(LongestFirstPolicy(0), Workload.of([1.0] * 4, [1.0, 0.1]))
    shared = simulate_replicas(
        LongestFirstPolicy(0), Workload.of([1.0] * 4, [1.0, 0.1]), everywhere
    )
    assert makespan(shared) < makespan(alone) / 2


def test_where_nobody_is_lost_replicas_cost_nothing() -> None:
    """Workers keep to their own partitions while these have something for them."""
    workload = Workload.of([1.0, 1.3, 0.8, 2.0] * 16, 8)
    for policy in POLICIES[:1] + POLICIES[2:]:
        plain = makespan(simulate(policy(1), workload))
        copied = makespan(simulate_replicas(policy(1), workload, chained(8, 3)))
        assert copied < 1.02 * plain


def test_replicas_make_up_for_a_loss() -> None:
    """The shape of Cerebro's Figure 8B: two of eight workers lost for most of an epoch."""
    away = [Absence(1, 5.0, 40.0), Absence(2, 6.0, 45.0)]
    workload = Workload.of([4.0] * 8, 8, absences=away)
    whole = makespan(simulate(MatchingPolicy(1), Workload.of([4.0] * 8, 8)))
    waiting = makespan(simulate(MatchingPolicy(1), workload))
    copied = makespan(simulate_replicas(MatchingPolicy(1), workload, chained(8, 3)))
    assert whole < copied < waiting


@pytest.mark.parametrize(
    ("holders", "problem"),
    [
        ([(0,)], "holders of 1 partitions"),
        ([(0,), ()], "partition 1 cannot be held"),
        ([(0,), (2,)], "partition 1 cannot be held"),
        ([(0, 0), (1,)], "partition 0 is twice"),
    ],
)
def test_impossible_placements_are_refused(holders: Holders, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        simulate_replicas(RandomPolicy(0), Workload.of([1.0], 2), holders)


def test_a_partition_with_no_living_worker_is_named() -> None:
    away = [Absence(0, 0.0, math.inf), Absence(1, 2.5, math.inf)]
    workload = Workload.of([1.0] * 4, 3, absences=away)
    with pytest.raises(SpecError, match="no living worker holds partition 0"):
        simulate_replicas(RandomPolicy(0), workload, chained(3, 2))
    with pytest.raises(SpecError, match="3 workers cannot hold 4 copies"):
        chained(3, 4)
