"""The papers' formulas against brute force and their own examples."""

from __future__ import annotations

import itertools

import pytest

from experiments.errors import SpecError
from experiments.mop.theory import (
    asynchronous_makespan,
    bytes_moved,
    speed_up,
    speed_up_bound,
    synchronous_makespan,
)


@pytest.mark.parametrize("workers", [1, 2, 3, 6])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_sub_epoch_lasts_as_long_as_its_slowest_unit(workers: int, share: float) -> None:
    """Equation 1: the expectation over every way to draw the units of one sub-epoch."""
    expected = 0.0
    for drawn in itertools.product([True, False], repeat=workers):
        probability = 1.0
        for fast in drawn:
            probability *= share if fast else 1 - share
        expected += probability * max(1.0 if fast else 20.0 for fast in drawn)
    assert synchronous_makespan(7, workers, share, 1.0, 20.0) == pytest.approx(7 * expected)


def test_propositions_1_and_2() -> None:
    mean = 0.8 * 1 + 0.2 * 20
    for workers in (1, 2, 8, 32):
        ratio = synchronous_makespan(512, workers, 0.8, 1, 20) / asynchronous_makespan(512, mean)
        assert speed_up(workers, 0.8, 1, 20) == pytest.approx(ratio)
        assert speed_up(workers, 0.8, 1, 20) <= speed_up_bound(20, mean)
    assert speed_up(1, 0.8, 1, 20) == pytest.approx(1.0)
    assert speed_up(200, 0.8, 1, 20) == pytest.approx(speed_up_bound(20, mean))


def test_the_cerebro_papers_example() -> None:
    """20 epochs, 20 models of 1 GB, 10 workers, 1 TB, 100,000 batches (Table 2 and its errata)."""
    found = bytes_moved(epochs=20, models=20, workers=10, state=1e9, data=1e12, batches=100_000)
    rounded = {name: round(amount / 1e12) for name, amount in found.items()}
    assert rounded == {
        "mop": 4,
        "task_parallel_replicated": 10,
        "task_parallel_remote": 400,
        "model_averaging": 8,
        "parameter_server": 80_000,
        "all_reduce": 72_000,
    }


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((0, 1, 0.5, 1, 2), "not 0 and 1"),
        ((1, 0, 0.5, 1, 2), "not 1 and 0"),
        ((1, 1, 1.5, 1, 2), "0..1"),
        ((1, 1, 0.5, 3, 2), "fast 3, slow 2"),
    ],
)
def test_impossible_workloads_are_refused(
    arguments: tuple[int, int, float, float, float], problem: str
) -> None:
    with pytest.raises(SpecError, match=problem):
        synchronous_makespan(*arguments)
    with pytest.raises(SpecError, match="at least one"):
        bytes_moved(epochs=0, models=1, workers=1, state=1, data=1, batches=1)
