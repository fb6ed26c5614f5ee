"""Where the paper's comparisons hold: over which range of the cluster's speeds, one at a time."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from experiments.analysis.prediction import epoch
from experiments.analysis.pricing import PAPER, Job, Prices
from experiments.analysis.rates import Rates
from experiments.specs.prediction import Assumptions, Claim

AXES: Mapping[str, str] = {
    "network": "network",
    "disk": "disk",
    "scan": "scans in the database",
    "accelerator": "accelerator",
}
"""What is made slower or faster, by its name in :class:`~.pricing.Speeds`."""

LEAST, MOST = 0.01, 100.0

_STEPS = 9
_HALVINGS = 8
_ORDERS = 12


@dataclass(frozen=True)
class Stretch:
    """A range of factors in which a claim holds; an end inside the axis is a flip."""

    low: float
    high: float


def stretches(holds: Callable[[float], bool]) -> list[Stretch]:
    """Where a claim holds between :data:`LEAST` and :data:`MOST`, flips found by halving.

    Parameters
    ----------
    holds : whether it does at a factor. Ranges narrower than a step of the search may be missed.
    """
    exponents = [
        math.log10(LEAST) + step * math.log10(MOST / LEAST) / (_STEPS - 1) for step in range(_STEPS)
    ]
    told = [holds(10**exponent) for exponent in exponents]
    found: list[Stretch] = []
    start = LEAST if told[0] else None
    for at in range(1, _STEPS):
        if told[at] == told[at - 1]:
            continue
        flip = _flip(holds, exponents[at - 1], exponents[at])
        if start is None:
            start = flip
        else:
            found.append(Stretch(start, flip))
            start = None
    if start is not None:
        found.append(Stretch(start, MOST))
    return found


def _flip(holds: Callable[[float], bool], low: float, high: float) -> float:
    before = holds(10**low)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if holds(10**middle) == before:
            low = middle
        else:
            high = middle
    return float(10 ** ((low + high) / 2))


def table(rates: Rates, assumed: Assumptions) -> pd.DataFrame:
    """Every claim on every axis.

    Returns
    -------
    DataFrame
        A row for each stretch in which a claim holds, and one without ``low`` and ``high`` where it
        holds nowhere: ``data, claim, place, axis``; ``low, high`` factors on the paper's speed;
        ``at_paper`` whether it holds there; ``ratio`` of the slower one's time to the faster one's
        there; ``evidence`` ``simulated``.
    """
    rows: list[dict[str, Any]] = []
    seconds = _Seconds(rates, assumed)
    for data in assumed.datasets:
        for claim in assumed.claims:
            if data not in claim.data:
                continue
            faster, slower = seconds.both(claim, data, "network", 1.0)
            for axis in AXES:
                about = {
                    "data": data,
                    "claim": claim.words,
                    "place": claim.place,
                    "axis": axis,
                    "at_paper": claim.holds(faster, slower),
                    "ratio": slower / faster,
                    "evidence": "simulated",
                }

                def holds(factor: float, axis: str = axis, claim: Claim = claim) -> bool:
                    return claim.holds(*seconds.both(claim, data, axis, factor))  # noqa: B023

                found = stretches(holds)
                rows += [{**about, "low": each.low, "high": each.high} for each in found]
                rows += [] if found else [{**about, "low": None, "high": None}]
    return pd.DataFrame(rows)


class _Seconds:
    """Predicted seconds of an epoch, each worked out once."""

    def __init__(self, rates: Rates, assumed: Assumptions) -> None:
        self._rates, self._assumed = rates, assumed
        self._job = functools.cache(self._make_job)
        self._epoch = functools.cache(self._predict)

    def both(self, claim: Claim, data: str, axis: str, factor: float) -> tuple[float, float]:
        """Of the two rows of a claim."""
        faster, slower = (
            self._epoch(row, data, claim.experiment, axis, factor)
            for row in (claim.faster, claim.slower)
        )
        return faster, slower

    def _make_job(self, data: str, experiment: str | None) -> Job:
        return Job.of_paper(self._assumed.datasets[data], experiment)

    def _predict(
        self, name: str, data: str, experiment: str | None, axis: str, factor: float
    ) -> float:
        row = self._assumed.rows[name]
        prices = Prices(
            self._job(data, experiment),
            row,
            row.approach(self._assumed.datasets[data].table),
            self._rates,
            self._assumed,
            replace(PAPER, **{axis: factor}),
        )
        return epoch(prices, _ORDERS).seconds


def summary(table: pd.DataFrame, assumed: Assumptions) -> pd.DataFrame:
    """In words: where each claim holds, one row per claim and one column per axis."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for (data, claim, axis), part in table.groupby(["data", "claim", "axis"], sort=False):
        words = ", ".join(
            _range(low, high) for low, high in zip(part["low"], part["high"], strict=True)
        )
        cells = rows.setdefault((assumed.datasets[data].title, claim), {})
        cells[AXES[axis]] = words
        cells["ratio"] = f"{part['ratio'].iloc[0]:.2f}"
    index = pd.MultiIndex.from_tuples(list(rows), names=["data set", "claim"])
    return pd.DataFrame(list(rows.values()), index=index)[["ratio", *AXES.values()]]


def _range(low: float, high: float) -> str:
    if pd.isna(low):
        return "nowhere"
    if low == LEAST and high == MOST:
        return "everywhere"
    if low == LEAST:
        return f"below {factor_words(high)}×"
    return (
        f"above {factor_words(low)}×"
        if high == MOST
        else f"{factor_words(low)} to {factor_words(high)}×"
    )


def factor_words(value: float) -> str:
    """Two digits."""
    return f"{value:.2g}"
