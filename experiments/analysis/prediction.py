"""An epoch of each approach, predicted: the pieces of :mod:`.pricing`, put together as it does.

The model hopper's units are scheduled by the policies that also run, on a virtual clock
(:mod:`experiments.mop.simulate`), in many orders, of which the mean counts.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.analysis.pricing import Prices
from experiments.mop.policy import make_policy
from experiments.mop.simulate import Workload, makespan, simulate

ORDERS = 20
"""Epochs that are simulated, each in another order."""

_SEED = 2018
_APART = 1e-6
"""Part by which alike units differ. Exactly equal ones would end together, and the order in which
equal ends are looked at would decide (it does not in a run, where no two are equal)."""

_DIGITS = 3
"""Of a unit's part of the longest one."""


@dataclass(frozen=True)
class Epoch:
    """Seconds of an epoch: Figure 9B's components, as means over the workers.

    Attributes
    ----------
    specific : merging, and waiting for work.
    measured : how much of all rests on rates measured here.
    """

    train_valid: float
    data: float
    model: float
    specific: float
    measured: float

    @property
    def seconds(self) -> float:
        return self.train_valid + self.data + self.model + self.specific


def epoch(prices: Prices, orders: int = ORDERS) -> Epoch:
    """A mean epoch of a run.

    Parameters
    ----------
    orders : how many orders of the scheduler are simulated.
    """
    return _SCHEDULING[prices.row.scheduling](prices, orders)


def _random(prices: Prices, orders: int) -> Epoch:
    return (_ctq if prices.in_database else _outside)(prices, orders)


def _ctq(prices: Prices, orders: int) -> Epoch:
    """CTQ: every unit trains, then evaluates on its worker's own rows; nobody waits for all."""
    configs = prices.job.configs
    computing = [prices.start(c) + prices.train(c) + prices.evaluate(c) for c in configs]
    scan = prices.scan(2, 1)
    units = [
        max(busy + 2 * prices.moved(c) + scan + prices.dispatch, prices.shared(c, 2))
        for c, busy in zip(configs, computing, strict=True)
    ]
    seconds = _makespan(units, prices.job.workers, orders) + prices.page_files()
    return _epoch(prices, seconds, computing, data=len(configs) * scan, moves=2)


def _udaf(prices: Prices, orders: int) -> Epoch:
    """UDAF: sub-epochs of training, then every model evaluated on all workers together."""
    configs = prices.job.configs
    training = [prices.start(c) + prices.train(c) for c in configs]
    scan, again = prices.scan(1, 0), prices.scan(1, 1)
    units = [
        max(busy + 2 * prices.moved(c) + scan + prices.dispatch, prices.shared(c, 2))
        for c, busy in zip(configs, training, strict=True)
    ]
    after = [prices.evaluate(c) + again + prices.moved(c) + prices.dispatch for c in configs]
    seconds = _makespan(units, prices.job.workers, orders, barrier=True)
    seconds += math.fsum(after) + prices.page_files()
    computing = [busy + prices.evaluate(c) for c, busy in zip(configs, training, strict=True)]
    return _epoch(prices, seconds, computing, data=len(configs) * (scan + again), moves=3)


def _ma(prices: Prices, _orders: int) -> Epoch:
    """MA: one model after the other on all workers; one of them pulls all states and averages.

    A model is built once a run. Its state is brought for training and for evaluation, and saved.
    """
    job = prices.job
    computing = [
        prices.start(c) / job.epochs + prices.train(c) + prices.evaluate(c) for c in job.configs
    ]
    merging = [(job.workers + 1) * prices.moved(c) + prices.merged(c) for c in job.configs]
    data = len(job.configs) * prices.scan(2, 1)
    dispatch = 2 * len(job.configs) * prices.dispatch
    seconds = math.fsum([*computing, *merging, data, dispatch, prices.page_files()])
    seconds += math.fsum(3 * prices.moved(c) for c in job.configs)
    here = math.fsum(
        (job.workers + 1) * prices.moved_here(c) + prices.merged(c) for c in job.configs
    )
    return _epoch(prices, seconds, computing, data=data, moves=3, here=here)


def _outside(prices: Prices, orders: int) -> Epoch:
    """DA-Cerebro and Cerebro-Spark: a phase of training, then one of evaluation."""
    configs, workers = prices.job.configs, prices.job.workers
    training = [
        max(prices.train(c) + 2 * prices.moved(c) + prices.dispatch, prices.shared(c, 2))
        for c in configs
    ]
    scoring = [
        max(prices.evaluate(c) + prices.moved(c) + prices.dispatch, prices.shared(c, 1))
        for c in configs
    ]
    data = prices.read()
    seconds = _makespan(training, workers, orders) + _makespan(scoring, workers, orders) + data
    computing = [prices.train(c) + prices.evaluate(c) for c in configs]
    return _epoch(prices, seconds, computing, data=data, moves=3, here=data)


def _ddp(prices: Prices, _orders: int) -> Epoch:
    """Data-parallel: one model after the other, every worker a rank."""
    configs = prices.job.configs
    computing = [prices.steps(c) * prices.step(c) + prices.evaluate(c) for c in configs]
    data = prices.read()
    seconds = math.fsum([*computing, *(2 * prices.moved(c) for c in configs), data])
    seconds += len(configs) * prices.dispatch
    return _epoch(prices, seconds, computing, data=data, moves=2, here=data)


_SCHEDULING: Mapping[str, Callable[[Prices, int], Epoch]] = {
    "random": _random,
    "barriers": _udaf,
    "averaging": _ma,
    "all-reduce": _ddp,
}


def _makespan(units: Sequence[float], workers: int, orders: int, *, barrier: bool = False) -> float:
    """Mean seconds of an epoch of units that take so long on every worker."""
    longest = max(units)
    shares = tuple(round(each / longest, _DIGITS) for each in units)
    return longest * _makespan_of(shares, workers, orders, barrier=barrier)


@functools.lru_cache(maxsize=4096)
def _makespan_of(shares: tuple[float, ...], workers: int, orders: int, *, barrier: bool) -> float:
    """The same of units told in parts of the longest one: schedules depend on nothing else."""
    policy = "round_robin" if barrier else "random"
    spans = []
    for seed in range(_SEED, _SEED + orders):
        apart = 1.0 + _APART * np.random.default_rng(seed).random((len(shares), workers))
        workload = Workload(np.array(shares)[:, None] * apart, np.zeros(workers))
        spans.append(makespan(simulate(make_policy(policy, seed), workload, barrier=barrier)))
    return math.fsum(spans) / orders


def _epoch(
    prices: Prices,
    seconds: float,
    computing: Sequence[float],
    *,
    data: float,
    moves: int,
    here: float = 0.0,
) -> Epoch:
    """Of the seconds of an epoch, what is no other component is approach-specific.

    Parameters
    ----------
    moves : how often a worker brings or saves each state.
    here : seconds that rest on rates measured here, beside moving states and dispatching.
    """
    configs = prices.job.configs
    train_valid = math.fsum(computing)
    model = moves * math.fsum(prices.moved(c) for c in configs)
    here += moves * math.fsum(prices.moved_here(c) for c in configs)
    here += len(configs) * prices.dispatch
    return Epoch(train_valid, data, model, seconds - train_valid - data - model, here)
