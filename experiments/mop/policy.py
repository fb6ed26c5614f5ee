"""Policies: which unit to start next. The only thing that differs between schedulers.

========================  ==========================================================================
``random``                the paper's default (CTQ, Cerebro-Standalone), in the release's scan order
``round_robin``           the paper's synchronous rotation with a barrier (UDAF)
``longest_first``         the worker, then the model, with most remaining work by measured times
``matching``              as many of the pairs with most remaining work as can start now or soon
``replay``                the visit order of a recorded run, repeated exactly
========================  ==========================================================================
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from experiments.errors import SpecError
from experiments.mop.state import EpochState, Floats, Ints
from experiments.mop.unit import Unit
from experiments.mop.visits import Visit
from experiments.specs.load import nearest
from experiments.specs.model import derive_seed

_SOON = 0.25
"""Part of the shortest unit that a pair of :class:`MatchingPolicy` may have to wait."""

_MANY = 4
"""Models for each worker from which on it does not look ahead."""

_FEW_IDLE = 64
"""Idle workers up to which looking at each is no slower than asking which of them can start."""


class Policy(Protocol):
    """Chooses the next unit. Must give the same answers again for the same seed and state."""

    @property
    def name(self) -> str:
        """Its name in :data:`POLICIES`."""

    def arrange(self, epoch: int, models: int, workers: int) -> Sequence[Unit]:
        """All units of an epoch, each once, in the order :class:`EpochState` shall list them.

        Called once at the start of an epoch, and again when an interrupted epoch goes on.
        """

    def choose(self, state: EpochState) -> Unit | None:
        """A pending unit whose worker and model are idle, or None to wait for a completion."""


class RandomPolicy:
    """One shuffled list of all pairs an epoch; each idle worker takes its first runnable pair.

    This is the scan of the release's ``ctq.py``: workers in ascending order, and for each the first
    pair of the list that is for it and whose model is idle. One stream of random numbers runs
    through all epochs, as there, so with the release's seed (2018) the lists are its own.
    """

    name = "random"

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._stream = random.Random(seed)
        self._drawn = 0

    def arrange(self, epoch: int, models: int, workers: int) -> Sequence[Unit]:
        if epoch <= self._drawn:
            self._stream = random.Random(self._seed)
            self._drawn = 0
        while True:
            units = _model_major(epoch, models, workers)
            self._stream.shuffle(units)
            self._drawn += 1
            if self._drawn >= epoch:
                return units

    def choose(self, state: EpochState) -> Unit | None:
        busy = state.busy
        if len(busy) == state.models:
            return None
        for worker in _able(state):
            for unit in state.pending_of(worker):
                if unit.model not in busy:
                    return unit
        return None


class RoundRobinPolicy:
    """The paper's synchronous rotation: sub-epochs with a barrier after each.

    With L the model list, shuffled once and padded with pauses up to the number of workers, worker
    i trains L[(t - i) mod |L|] in sub-epoch t (Cerebro-DS §3.2; MADlib's ``fit_multiple_model``).
    """

    name = "round_robin"

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._position: dict[int, int] = {}
        self._length = 0

    def arrange(self, epoch: int, models: int, workers: int) -> Sequence[Unit]:
        rotation: list[int | None] = [*range(models), *[None] * (workers - models)]
        random.Random(self._seed).shuffle(rotation)
        self._length = len(rotation)
        self._position = {model: at for at, model in enumerate(rotation) if model is not None}
        return [
            Unit(model, worker, epoch)
            for turn in range(self._length)
            for worker in range(workers)
            if (model := rotation[(turn - worker) % self._length]) is not None
        ]

    def turn(self, unit: Unit) -> int:
        """The sub-epoch a unit belongs to, from 0."""
        return (self._position[unit.model] + unit.partition) % self._length

    def choose(self, state: EpochState) -> Unit | None:
        first = next(iter(state.pending), None)
        running = next(iter(state.running.values()), None)
        if first is None or (running is not None and self.turn(running) != self.turn(first)):
            return None
        for unit in state.pending:
            if self.turn(unit) != self.turn(first):
                break
            if unit.partition in state.idle:
                return unit
        return None


class LongestFirstPolicy:
    """The idle worker with most remaining work takes the idle model with most remaining work.

    Remaining work is the sum of expected seconds over pending units; a unit is expected to take
    the mean measured for its model, or the mean of all measured models while it has none. Amounts
    that differ by less than a billionth are equal; an order drawn from the seed for each epoch
    decides between them.
    """

    name = "longest_first"

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._worker_rank: Ints = np.empty(0, np.int64)
        self._tie_factor: Floats = np.empty(0)

    def arrange(self, epoch: int, models: int, workers: int) -> Sequence[Unit]:
        stream = random.Random(derive_seed(self._seed, self.name, epoch))
        self._worker_rank = np.array(stream.sample(range(workers), workers))
        self._tie_factor = 1.0 + 1e-9 * np.array(stream.sample(range(models), models)) / models
        return _model_major(epoch, models, workers)

    def choose(self, state: EpochState) -> Unit | None:
        if not state.idle or len(state.busy) == state.models:
            return None
        expected = state.expected()
        work = expected * state.left * self._tie_factor
        work[list(state.busy)] = 0.0
        for worker in self._by_remaining_work(state, expected):
            runnable = state.grid[worker] * work
            model = int(runnable.argmax())
            if runnable[model] > 0.0:
                return state.unit(model, worker)
        return None

    def _by_remaining_work(self, state: EpochState, expected: Floats) -> Sequence[int]:
        workers = _able(state)
        if len(workers) <= 1:
            return workers
        remaining: Floats = state.grid[workers] @ expected
        # Rounded, so that equal sums that were added in another order stay equal.
        shares = np.round(remaining / remaining.max(), 9)
        order = np.lexsort((self._worker_rank[workers], -shares))
        ordered: list[int] = np.asarray(workers)[order].tolist()
        return ordered


class MatchingPolicy(LongestFirstPolicy):
    """As many pairs as can start now or soon, and of these the ones with most remaining work.

    Taking whatever can start leads, with about as many models as workers, to an idle worker and an
    idle model that have met before (Figure 10A: a speed-up of 6.7 on 8 workers). So pairs are
    chosen together: a maximum-weight matching of the workers and models that are idle, or soon
    will be, where a pair weighs what its worker and its model still have to do. Its pairs start
    when both are there. Soon is a quarter of the shortest unit: alike units that end almost
    together are matched as if they had, and nobody waits long for a long unit.

    With many more models than workers somebody is always idle, and there is nothing to look ahead
    for: then this is :class:`LongestFirstPolicy`.
    """

    name = "matching"

    def choose(self, state: EpochState) -> Unit | None:
        if state.models >= _MANY * state.workers:
            return super().choose(state)
        if not state.idle or len(state.busy) == state.models:
            return None
        for unit in self._matched(state):
            if unit.worker in state.idle and unit.model not in state.busy:
                return unit
        return None if state.running else super().choose(state)

    def _matched(self, state: EpochState) -> list[Unit]:
        """The matching, most remaining work first."""
        from scipy.optimize import linear_sum_assignment

        expected = state.expected()
        of_worker, of_model = state.until_idle()
        soon = _SOON * expected[state.left > 0].min()
        work = expected * state.left * self._tie_factor + of_model
        models = np.flatnonzero((of_model <= soon) & (state.left > 0))
        workers = np.flatnonzero(of_worker <= soon)
        open_ = state.grid[np.ix_(workers, models)]
        load = state.grid[workers] @ expected + of_worker[workers]
        weights = np.where(open_, load[:, None] + work[models], 0.0)
        rows, columns = linear_sum_assignment(weights, maximize=True)
        pairs = sorted(
            (-weights[row, column], int(workers[row]), int(models[column]))
            for row, column in zip(rows, columns, strict=True)
            if open_[row, column]
        )
        return [state.unit(model, worker) for _, worker, model in pairs]


class ReplayPolicy:
    """Repeats a recorded order: every model's partitions and every worker's models, as they were.

    Which units ran side by side may differ from the recorded run; what each model has seen before
    each unit does not, so the weights are the same.

    Parameters
    ----------
    visits : the recorded order, from :func:`experiments.mop.visits.visits`.
    """

    name = "replay"

    def __init__(self, visits: Iterable[Visit]) -> None:
        self._orders: dict[int, list[Unit]] = defaultdict(list)
        for visit in visits:
            unit = Unit(visit.model, visit.partition, visit.epoch)
            self._orders[visit.epoch].append(unit)
        self._route: list[list[Unit]] = []
        self._next: list[int] = []

    def arrange(self, epoch: int, models: int, workers: int) -> Sequence[Unit]:
        order = self._orders.get(epoch, [])
        if sorted(order) != _model_major(epoch, models, workers):
            raise SpecError(
                f"the recorded visit order has {len(order)} units in epoch {epoch}; a replay needs "
                f"each of {models} models on each of {workers} partitions once"
            )
        self._route = [[] for _ in range(models)]
        for unit in order:
            self._route[unit.model].append(unit)
        self._next = [0] * models
        return order

    def choose(self, state: EpochState) -> Unit | None:
        for worker in state.idle:
            unit = next(iter(state.pending_of(worker)))
            if unit.model not in state.busy and unit == self._stop(unit.model, state):
                return unit
        return None

    def _stop(self, model: int, state: EpochState) -> Unit:
        """The model's first stop that is still pending; it must have one."""
        route = self._route[model]
        while route[self._next[model]] not in state.pending:
            self._next[model] += 1
        return route[self._next[model]]


class Sweep:
    """Evaluation: each worker takes all models, starting at a different one to spread the reads."""

    name = "sweep"

    def arrange(self, epoch: int, models: int, workers: int) -> Sequence[Unit]:
        return [
            Unit((worker + turn) % models, worker, epoch)
            for turn in range(models)
            for worker in range(workers)
        ]

    def choose(self, state: EpochState) -> Unit | None:
        return next(iter(state.pending_of(state.idle[0]))) if state.idle else None


def _able(state: EpochState) -> Sequence[int]:
    """Idle workers in their order; of many only those that an idle model has yet to visit."""
    if len(state.idle) <= _FEW_IDLE:
        return state.idle
    free = np.ones(state.models, np.bool_)
    free[list(state.busy)] = False
    waiting: list[bool] = np.any(state.grid[:, free], axis=1).tolist()
    return [worker for worker in state.idle if waiting[worker]]


def _model_major(epoch: int, models: int, workers: int) -> list[Unit]:
    return [Unit(model, worker, epoch) for model in range(models) for worker in range(workers)]


def _replay(_seed: int, visits: Iterable[Visit] | None) -> Policy:
    if visits is None:
        raise SpecError("policy 'replay' needs a recorded visit order: name the run to repeat")
    return ReplayPolicy(visits)


POLICIES: Mapping[str, Callable[[int, Iterable[Visit] | None], Policy]] = {
    "random": lambda seed, _visits: RandomPolicy(seed),
    "round_robin": lambda seed, _visits: RoundRobinPolicy(seed),
    "longest_first": lambda seed, _visits: LongestFirstPolicy(seed),
    "matching": lambda seed, _visits: MatchingPolicy(seed),
    "replay": _replay,
}
"""Every policy by its name in a run's specification."""


def make_policy(name: str, seed: int, visits: Iterable[Visit] | None = None) -> Policy:
    """A policy by name.

    Parameters
    ----------
    seed : where its random choices come from; ``replay`` makes none.
    visits : the recorded order, for ``replay`` only.

    Raises
    ------
    SpecError
        There is no such policy (the message names the nearest), or ``replay`` has no record.
    """
    if name not in POLICIES:
        raise nearest("policy", name, POLICIES)
    return POLICIES[name](seed, visits)
