"""Intervals and tests over repeats, and what too few of them cannot tell."""

from __future__ import annotations

import pytest

from experiments.report import statistics


@pytest.mark.parametrize(("runs", "smallest"), [(1, 1 / 2), (2, 1 / 6), (3, 1 / 20), (4, 1 / 70)])
def test_the_smallest_p_is_what_runs_that_are_wholly_apart_give(runs: int, smallest: float) -> None:
    assert statistics.smallest_p(runs, runs) == pytest.approx(smallest)
    low, high = [float(n) for n in range(runs)], [float(n + 100) for n in range(runs)]
    assert statistics.p_below(low, high) == pytest.approx(smallest)
    assert statistics.p_below(high, low) == pytest.approx(1.0)


def test_equal_runs_cannot_be_told_apart() -> None:
    assert statistics.p_below([1.0, 1.0, 1.0], [1.0, 1.0, 1.0]) == 1.0
    assert statistics.p_below([1.0, 2.0, 2.0, 3.0], [1.0, 2.0, 2.0, 3.0]) > statistics.SIGNIFICANT


def test_an_interval_holds_the_ratio_and_comes_out_the_same_again() -> None:
    left, right = [9.0, 10.0, 11.0, 10.5], [5.0, 5.5, 4.5, 5.1]
    low, high = statistics.interval(left, right) or (0.0, 0.0)
    assert low < (sum(left) / sum(right)) < high
    assert statistics.interval(left, right) == (low, high)
    mean = statistics.interval(left) or (0.0, 0.0)
    assert mean[0] < sum(left) / 4 < mean[1]


def test_no_spread_is_no_interval_or_a_point() -> None:
    assert statistics.interval([1.0]) is None
    assert statistics.interval([1.0, 2.0], [1.0]) is None
    assert statistics.interval([3.0, 3.0], [2.0, 2.0]) == (1.5, 1.5)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([1, 1], "one run each; spread unknown"),
        ([2, 2], "2 runs each: too few to tell, the smallest p they can give is 0.17"),
        ([2, 5], "2 to 5 runs each: too few to tell"),
        ([4, 4], "4 runs each; Mann-Whitney, significant at 0.05"),
    ],
)
def test_it_says_what_so_many_runs_can_tell(counts: list[int], told: str) -> None:
    assert statistics.told(counts).startswith(told)
