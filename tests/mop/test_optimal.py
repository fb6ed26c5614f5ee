"""Optimal schedules against brute force, the policies and their own bound."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from experiments.errors import SpecError
from experiments.mop.optimal import known_times, optimal
from experiments.mop.policy import (
    LongestFirstPolicy,
    MatchingPolicy,
    RandomPolicy,
    RoundRobinPolicy,
)
from experiments.mop.simulate import Absence, Workload, makespan, simulate
from tests.mop.test_simulate import require_valid

SEEDS = range(10)


def drawn(models: int, workers: int, seed: int) -> Workload:
    """Every unit with a duration of its own, as tenths of a second."""
    seconds = np.random.default_rng(seed).integers(1, 100, (models, workers)) / 10
    return Workload(seconds, np.zeros(workers))


def mixed(models: int, workers: int, seed: int) -> Workload:
    """The paper's (Figure 11A): four of five models are fast, the others take eight times as long.

    Models, not units, have durations.
    """
    slow = np.random.default_rng(seed).permutation(models) < models // 5
    return Workload.of(np.where(slow, 8.0, 1.0), workers)


def by_brute_force(workload: Workload) -> float:
    """The shortest makespan over all orders of the units, each as soon as it can be."""
    units = list(itertools.product(range(workload.models), range(workload.workers)))
    best = math.inf
    for order in itertools.permutations(units):
        model, worker = [0.0] * workload.models, workload.start.tolist()
        for m, w in order:
            model[m] = worker[w] = max(model[m], worker[w]) + float(workload.seconds[m, w])
        best = min(best, *[max(model)])
    return best


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (2, 2)])
def test_it_is_what_brute_force_finds(seed: int, shape: tuple[int, int]) -> None:
    workload = drawn(*shape, seed)
    if seed == 3:
        workload = Workload(workload.seconds, 3.0 * np.arange(shape[1], dtype=np.float64))
    found = optimal(workload)
    assert found.seconds == pytest.approx(by_brute_force(workload))
    assert found.gap == pytest.approx(0.0, abs=2e-3)
    require_valid(list(found.ran), workload)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_never_longer_than_a_policy_and_keeps_its_bound(seed: int) -> None:
    workload = drawn(6, 4, seed)
    found = optimal(workload, effort=0.5, seed=seed)
    assert found.bound <= found.seconds == makespan(found.ran)
    assert found.bound >= workload.bound() - 1e-9
    assert found.gap <= 0.02
    require_valid(list(found.ran), workload)
    for policy in (RandomPolicy, RoundRobinPolicy, LongestFirstPolicy, MatchingPolicy):
        for times in (None, known_times(workload)):
            ran = simulate(policy(seed), workload, times=times)
            assert found.seconds <= makespan(ran) + 1e-9


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_seed_gives_the_same_schedule(threads: int) -> None:
    workload = drawn(5, 4, 7)
    first, again = (optimal(workload, effort=0.3, seed=4, threads=threads) for _ in range(2))
    assert first == again


def test_alike_models_need_as_many_rounds_as_there_are_models_or_workers() -> None:
    for models, workers in ((3, 3), (8, 8), (5, 8), (12, 8)):
        found = optimal(Workload.of([2.0] * models, workers))
        assert found.seconds == pytest.approx(2.0 * max(models, workers))
        assert found.gap == 0.0


@pytest.mark.parametrize("policy", [LongestFirstPolicy, MatchingPolicy])
@pytest.mark.parametrize("models", [16, 24, 32, 64])
def test_policies_are_within_three_per_cent_of_the_bound_of_the_papers_mix(
    policy: type[LongestFirstPolicy], models: int
) -> None:
    """M >= 2 W, W = 8, mean over seeds; as in an epoch after the first, models are measured."""
    ratios = []
    for seed in SEEDS:
        workload = mixed(models, 8, seed)
        ran = simulate(policy(seed), workload, times=known_times(workload))
        ratios.append(makespan(ran) / optimal(workload, effort=0.2).bound)
    assert sum(ratios) / len(ratios) <= 1.03


def test_what_it_cannot_schedule_is_refused() -> None:
    with pytest.raises(SpecError, match="workers that stay"):
        optimal(Workload.of([1.0], 2, absences=[Absence(0, 1, 2)]))
    with pytest.raises(SpecError, match="takes time and threads, not 0 s and 1"):
        optimal(Workload.of([1.0], 2), effort=0)
