"""What several runs of the same tell: intervals, and whether two samples can be told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

SEED = 2018
LEVEL = 0.95
SIGNIFICANT = 0.05


def smallest_p(first: int, second: int) -> float:
    """The smallest one-sided p that the Mann-Whitney test can give for so many runs each."""
    return 1 / math.comb(first + second, first)


def can_tell(first: int, second: int) -> bool:
    """Whether so many runs can be significant at all."""
    return smallest_p(first, second) <= SIGNIFICANT


def p_below(first: Sequence[float], second: Sequence[float]) -> float:
    """One-sided p of the Mann-Whitney U test that ``first`` tends to be below ``second``."""
    from scipy.stats import mannwhitneyu

    if len({*first, *second}) == 1:
        return 1.0
    method = "exact" if len({*first, *second}) == len(first) + len(second) else "asymptotic"
    return float(mannwhitneyu(first, second, alternative="less", method=method).pvalue)


def interval(first: Sequence[float], second: Sequence[float] = ()) -> tuple[float, float] | None:
    """Bootstrap interval of a mean, or of the ratio of two means; None with one run.

    Percentiles of resamples by seeds of its own, so that the same runs give the same interval.
    """
    from scipy.stats import bootstrap

    if len(first) < 2 or len(second) == 1:
        return None
    if len({*first}) == 1 and len({*second}) <= 1:
        exact = first[0] / second[0] if second else first[0]
        return exact, exact
    data = (first, second) if second else (first,)
    found = bootstrap(
        data,
        _ratio if second else np.mean,
        n_resamples=2000,
        confidence_level=LEVEL,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def _ratio(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.asarray(np.mean(first, axis=axis) / np.mean(second, axis=axis))


def told(counts: Sequence[int]) -> str:
    """How many runs each number is of, and what so many can tell."""
    least = min(counts)
    if max(counts) == 1:
        return "one run each; spread unknown"
    runs = f"{least} runs each" if least == max(counts) else f"{least} to {max(counts)} runs each"
    smallest = smallest_p(least, least)
    if can_tell(least, least):
        return f"{runs}; Mann-Whitney, significant at {SIGNIFICANT:g}"
    return f"{runs}: too few to tell, the smallest p they can give is {smallest:.2g}"
