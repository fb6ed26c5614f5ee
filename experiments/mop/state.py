"""What is left of an epoch: the view that policies see, and the board that the engine moves."""

from __future__ import annotations

import math
import time
from bisect import insort
from collections import OrderedDict
from collections.abc import (
    Callable,
    Container,
    Iterable,
    KeysView,
    Mapping,
    Sequence,
    Set,
    ValuesView,
)
from types import MappingProxyType
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from experiments.errors import InvariantViolation
from experiments.mop.unit import Unit

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
_Scalar = TypeVar("_Scalar", bound=np.generic)


class UnitTimes:
    """Mean measured seconds per unit of each model, kept over epochs.

    Attributes
    ----------
    mean : float64 [models], read-only; NaN where nothing was measured yet.
    """

    def __init__(self, models: int) -> None:
        self._total = [0.0] * models
        self._count = [0] * models
        self._mean: Floats = np.full(models, math.nan)
        self.mean = _read_only(self._mean)

    def add(self, model: int, seconds: float) -> None:
        self._total[model] += seconds
        self._count[model] += 1
        self._mean[model] = self._total[model] / self._count[model]


class EpochState:
    """What a policy may know. It changes as the epoch goes on; only the engine changes it.

    Every question costs the same however much is pending, so that a policy need not scan it.

    Attributes
    ----------
    epoch, models, workers : the epoch's number and how many models and workers there are.
    pending : units not yet started, in the policy's own order; membership and first are O(1).
    idle : workers that run nothing and still have pending units, in ascending order.
    busy : models of which a unit is running.
    running : worker to the unit it runs.
    grid : bool [workers, models], whether a unit is pending; read-only.
    left : int64 [models], pending units of each model; read-only.
    seconds : float64 [models], mean measured seconds per unit, NaN where unknown; read-only.
    """

    def __init__(
        self,
        epoch: int,
        models: int,
        workers: int,
        order: Iterable[Unit],
        *,
        finished: Container[Unit] = (),
        times: UnitTimes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.epoch = epoch
        self.models = models
        self.workers = workers
        self._times = times if times is not None else UnitTimes(models)
        # Ordinary dictionaries would walk over their deleted entries to find the first one left.
        self._pending: OrderedDict[Unit, None] = OrderedDict()
        self._of: list[OrderedDict[int, Unit]] = [OrderedDict() for _ in range(workers)]
        self._grid: Bools = np.zeros((workers, models), dtype=np.bool_)
        self._fill(order, finished)
        self._left: Ints = self._grid.sum(axis=0, dtype=np.int64)
        self._idle = [worker for worker in range(workers) if self._of[worker]]
        self._busy: set[int] = set()
        self._running: dict[int, Unit] = {}
        self._since: dict[int, float] = {}
        self._clock = clock

        self.pending: KeysView[Unit] = self._pending.keys()
        self.idle: Sequence[int] = self._idle
        self.busy: Set[int] = self._busy
        self.running: Mapping[int, Unit] = MappingProxyType(self._running)
        self.grid = _read_only(self._grid)
        self.left = _read_only(self._left)
        self.seconds = self._times.mean

    def pending_of(self, worker: int) -> ValuesView[Unit]:
        """Units not yet started on one worker, in the policy's own order."""
        return self._of[worker].values()

    def unit(self, model: int, worker: int) -> Unit:
        """A model's pending unit on a worker; the grid says whether there is one."""
        return self._of[worker][model]

    def expected(self) -> Floats:
        """Seconds that a unit of each model may be expected to take, more than 0; [models].

        What was measured for it, or the mean of all measured models while it has nothing.
        """
        seconds = self.seconds
        unknown = np.isnan(seconds)
        if unknown.any():
            known = seconds[~unknown]
            seconds = np.where(unknown, known.mean() if known.size else 1.0, seconds)
        return np.maximum(seconds, 1e-9)

    def until_idle(self) -> tuple[Floats, Floats]:
        """Seconds until each worker and each model may be expected to be idle; 0 where it is.

        What has run for longer than expected is expected to end now, which is more than 0.
        """
        workers, models = np.zeros(self.workers), np.zeros(self.models)
        expected, now = self.expected(), self._clock()
        for worker, unit in self._running.items():
            left = max(expected[unit.model] - (now - self._since[worker]), 1e-9)
            workers[worker] = models[unit.model] = left
        return workers, models

    def _take(self, unit: Unit) -> None:
        """Out of what is pending."""
        del self._pending[unit]
        del self._of[unit.partition][unit.model]
        self._grid[unit.partition, unit.model] = False
        self._left[unit.model] -= 1

    def _put(self, unit: Unit) -> None:
        """Into what is pending, as the last."""
        self._pending[unit] = None
        self._of[unit.partition][unit.model] = unit
        self._grid[unit.partition, unit.model] = True
        self._left[unit.model] += 1

    def _fill(self, order: Iterable[Unit], finished: Container[Unit]) -> None:
        arranged = set()
        for unit in order:
            arranged.add(unit)
            if unit not in finished:
                self._pending[unit] = None
                self._of[unit.worker][unit.model] = unit
                self._grid[unit.worker, unit.model] = True
        if len(arranged) != self.models * self.workers:
            raise InvariantViolation(
                f"completeness: the policy arranged {len(arranged)} units of epoch {self.epoch}, "
                f"not {self.models} models x {self.workers} workers"
            )


class Board(EpochState):
    """An epoch's state with the two moves there are: a unit starts, a unit finishes.

    Parameters
    ----------
    order : all units of the epoch, each once, in the order the policy wants to scan them.
    finished : units that need not be done again.
    times : where measured seconds are kept; they outlive the epoch.
    isolated : whether a model may be in one place only (training) or in several (evaluation).
    clock : seconds on a clock of its own.
    """

    def __init__(
        self,
        epoch: int,
        models: int,
        workers: int,
        order: Iterable[Unit],
        *,
        finished: Container[Unit] = (),
        times: UnitTimes | None = None,
        isolated: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(epoch, models, workers, order, finished=finished, times=times, clock=clock)
        self._isolated = isolated

    def start(self, unit: Unit) -> None:
        """Take a unit out of what is pending.

        Raises
        ------
        InvariantViolation
            The unit is not pending, its worker is taken, or its model is (when isolated).
        """
        if unit not in self._pending:
            raise InvariantViolation(f"completeness: {unit} was chosen but is not pending")
        if unit.worker in self._running:
            raise InvariantViolation(
                f"exclusivity: {unit} was chosen while worker {unit.worker} runs "
                f"{self._running[unit.worker]}"
            )
        if unit.model in self._busy:
            raise InvariantViolation(f"isolation: {unit} was chosen while the model is elsewhere")
        self._take(unit)
        self._idle.remove(unit.worker)
        self._running[unit.worker] = unit
        self._since[unit.worker] = self._clock()
        if self._isolates(unit):
            self._busy.add(unit.model)

    def finish(self, unit: Unit, seconds: float) -> None:
        """Free the unit's worker and model; ``seconds`` is how long it took."""
        if self._running.get(unit.worker) != unit:
            raise InvariantViolation(f"non-preemption: {unit} finished but was not running")
        del self._running[unit.worker]
        self._busy.discard(unit.model)
        if self._of[unit.worker]:
            insort(self._idle, unit.worker)
        self._times.add(unit.model, seconds)

    def _isolates(self, unit: Unit) -> bool:
        """Whether no other unit of the unit's model may run beside it."""
        return self._isolated


def _read_only(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    view = array.view()
    view.flags.writeable = False
    return view
