"""The units of models that come and go: what a search has under way."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable

from experiments.mop.policy import Policy
from experiments.mop.state import Board, UnitTimes
from experiments.mop.unit import Kind, Unit


class Pool(Board):
    """A board without an end of an epoch: units are added while others run.

    Models may be in different epochs of their own, some in training and some in evaluation. A
    policy sees it as any other board; it finds evaluations first, then units of training in the
    order in which it arranges their epoch.

    Parameters
    ----------
    models : how many there may be.
    """

    def __init__(self, models: int, workers: int, policy: Policy, times: UnitTimes) -> None:
        every = policy.arrange(1, models, workers)
        super().__init__(1, models, workers, every, finished=set(every), times=times)
        self._policy = policy
        self._ranks: dict[int, dict[tuple[int, int], int]] = {}
        self._evaluations: dict[Unit, Kind] = {}

    def kind(self, unit: Unit) -> Kind:
        """What a unit that was added is one of."""
        return self._evaluations.get(unit, "train")

    def add(self, kind: Kind, units: Iterable[Unit]) -> None:
        """More to do. A model's units of training are finished before its evaluations are added."""
        for unit in units:
            self._evaluations.pop(unit, None)
            if kind != "train":
                self._evaluations[unit] = kind
            self._pending[unit] = None
            self._of[unit.worker][unit.model] = unit
            self._grid[unit.worker, unit.model] = True
            self._left[unit.model] += 1
            self._sort(unit.worker)
            if unit.worker not in self._running and unit.worker not in self._idle:
                insort(self._idle, unit.worker)

    def _isolates(self, unit: Unit) -> bool:
        return unit not in self._evaluations

    def _sort(self, worker: int) -> None:
        pending = self._of[worker]
        for model in sorted(pending, key=lambda model: self._rank(pending[model])):
            pending.move_to_end(model)

    def _rank(self, unit: Unit) -> tuple[bool, int, int]:
        if unit.epoch not in self._ranks:
            order = self._policy.arrange(unit.epoch, self.models, self.workers)
            self._ranks[unit.epoch] = {
                (each.model, each.partition): place for place, each in enumerate(order)
            }
        place = self._ranks[unit.epoch][unit.model, unit.partition]
        return unit not in self._evaluations, place, unit.epoch
