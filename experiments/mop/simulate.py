"""The model hopper on a virtual clock: the policies and the loop that run, nothing to wait for.

Units take the seconds they are said to take. Workers may differ, go away and come back; a unit
that was running on one that went away starts again when it is back, as in a run. Partitions with
replicas, whose units need not wait for that, are :mod:`experiments.mop.replicas`.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from experiments.errors import SpecError
from experiments.mop.loop import drive, drive_batches
from experiments.mop.policy import Policy
from experiments.mop.state import Board, Floats, UnitTimes
from experiments.mop.unit import Unit
from experiments.specs.emulation import EmulationSpec
from experiments.specs.model import ModelConfig


class Ran(NamedTuple):
    """A unit on the virtual clock: its last start and its end, in seconds, and on which worker."""

    start: float
    end: float
    unit: Unit
    worker: int


class Absence(NamedTuple):
    """When a worker is away; ``end`` may be infinite."""

    worker: int
    start: float
    end: float


@dataclass(frozen=True)
class Workload:
    """What an epoch is made of.

    Attributes
    ----------
    seconds : float64 [models, workers], of each unit; all of it: reading, training, hopping.
    start : float64 [workers], when each worker is ready (imports, building models).
    absences : when workers are away, in any order.
    """

    seconds: Floats
    start: Floats
    absences: Mapping[int, Sequence[Absence]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be; raises :class:`SpecError`."""
        if not self.seconds.size:
            raise SpecError(f"a workload of {self.models} models and {self.workers} workers")
        if self.seconds.shape != (self.models, self.workers):
            raise SpecError(f"units of {self.seconds.shape} for {self.workers} workers")
        _require_positive("unit's seconds", self.seconds)
        if not (self.start >= 0).all():
            raise SpecError("a worker cannot be ready before the clock starts")
        for absence in itertools.chain(*self.absences.values()):
            if not 0 <= absence.worker < self.workers or not 0 <= absence.start < absence.end:
                raise SpecError(f"no worker of {self.workers} can be away like {absence}")

    @classmethod
    def of(
        cls,
        models: Iterable[float],
        workers: int | Sequence[float],
        *,
        hop: float | Sequence[float] = 0.0,
        data: float | Sequence[float] = 0.0,
        start: float = 0.0,
        absences: Iterable[Absence] = (),
    ) -> Workload:
        """A workload of models and workers that each have a speed.

        Parameters
        ----------
        models : seconds to train a unit of each model on a worker of speed 1.
        workers : their speeds, or how many there are of speed 1.
        hop : seconds to bring a model's state to the next worker and save it, for each model.
        data : seconds to bring a partition's rows to the model, for each worker.
        start : seconds until a worker is ready.

        Raises
        ------
        SpecError
            No models or workers, or a duration or speed that is not positive and finite.
        """
        train = np.array(list(models), np.float64)
        speeds = np.ones(workers) if isinstance(workers, int) else np.array(workers, np.float64)
        if not train.size or not speeds.size:
            raise SpecError(f"a workload of {train.size} models and {speeds.size} workers")
        hops, reads = np.asarray(hop, np.float64), np.asarray(data, np.float64)
        _require_positive("unit's seconds", train)
        _require_positive("worker's speed", speeds)
        if min(hops.min(), reads.min(), start) < 0:
            raise SpecError("a hop, reading and starting take no less than 0 seconds")
        away: dict[int, list[Absence]] = {}
        for absence in sorted(absences):
            away.setdefault(absence.worker, []).append(absence)
        seconds = train[:, None] / speeds + np.broadcast_to(hops, train.shape)[:, None] + reads
        return cls(np.ascontiguousarray(seconds), np.full(speeds.size, float(start)), away)

    @classmethod
    def on(
        cls,
        emulation: EmulationSpec,
        configs: Sequence[ModelConfig],
        rows: Sequence[int],
        *,
        beside: float = 0.0,
    ) -> Workload:
        """The workload of a run on an emulated device, in modelled seconds.

        Parameters
        ----------
        rows : of each worker's partition.
        beside : modelled seconds of a unit that are not the device's: dispatching, hopping.

        Raises
        ------
        SpecError
            No configs or workers, or a worker without rows.
        """
        if not configs or not rows or min(rows) < 1:
            raise SpecError(f"a workload of {len(configs)} models on partitions of {[*rows]} rows")
        seconds = []
        for config in configs:
            model, size = emulation.models[config.architecture], config.batch_size
            seconds.append([model.unit_seconds("train", count, size) for count in rows])
        return cls(np.array(seconds) + beside, np.zeros(len(rows)))

    @property
    def models(self) -> int:
        """How many models."""
        return len(self.seconds)

    @property
    def workers(self) -> int:
        """How many workers."""
        return len(self.start)

    def bound(self) -> float:
        """No schedule of an epoch is shorter: the busiest worker, or the longest model.

        ``max(max_w sum_m T, max_m sum_w T)``, the trivial bound of open-shop scheduling.
        """
        return float(max(self.seconds.sum(axis=0).max(), self.seconds.sum(axis=1).max()))


def simulate(
    policy: Policy,
    workload: Workload,
    epoch: int = 1,
    *,
    barrier: bool = False,
    finished: Container[Unit] = (),
    times: UnitTimes | None = None,
) -> list[Ran]:
    """One epoch of training.

    Parameters
    ----------
    policy : what chooses the next unit, as in a run.
    barrier : whether the units that are offered before anything is finished start and end together
        (UDAF's sub-epochs); otherwise every completion is followed by new choices.
    finished : units that need not be done.
    times : measured seconds, for policies that look at them; kept over epochs.

    Returns
    -------
    The units in order of their start. Of units that end together the lowest worker's ends first.

    Raises
    ------
    SpecError
        A worker that has units left does not come back.
    """
    clock = _Clock(workload)
    order = policy.arrange(epoch, workload.models, workload.workers)
    board = Board(
        epoch,
        workload.models,
        workload.workers,
        order,
        finished=finished,
        times=times,
        clock=clock.seconds,
    )
    if barrier:
        drive_batches(board, policy, clock.batch)
    else:
        drive(board, policy, clock.submit, clock.wait)
    return clock.ran


def _require_positive(what: str, values: Floats) -> None:
    wrong = values[~(np.isfinite(values) & (values > 0))]
    if wrong.size:
        raise SpecError(f"a {what} must be positive and finite, not {wrong[0]:g}")


def makespan(ran: Iterable[Ran]) -> float:
    """When the last unit ends, in seconds."""
    return max(each.end for each in ran)


class _Clock:
    """Where the workers are in time."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._seconds: list[list[float]] = workload.seconds.tolist()
        self._ready: list[float] = workload.start.tolist()
        self._now = 0.0
        self._ends: list[tuple[float, int, Unit]] = []
        self.ran: list[Ran] = []

    def seconds(self) -> float:
        return self._now

    def submit(self, unit: Unit) -> None:
        seconds = self._seconds[unit.model][unit.worker]
        start = self._start(unit, max(self._now, self._ready[unit.worker]), seconds)
        self.ran.append(Ran(start, start + seconds, unit, unit.worker))
        heapq.heappush(self._ends, (start + seconds, unit.worker, unit))

    def wait(self) -> tuple[Unit, float]:
        self._now, _, unit = heapq.heappop(self._ends)
        return unit, self._seconds[unit.model][unit.worker]

    def batch(self, units: Sequence[Unit]) -> list[float]:
        for unit in units:
            self.submit(unit)
        seconds = dict(self.wait() for _ in units)
        return [seconds[unit] for unit in units]

    def _start(self, unit: Unit, start: float, seconds: float) -> float:
        """When a unit starts that is not interrupted any more."""
        for absence in self._workload.absences.get(unit.worker, ()):
            if absence.start < start + seconds and start < absence.end:
                start = absence.end
        if math.isinf(start):
            raise SpecError(f"worker {unit.worker} does not come back, but has {unit} to do")
        return start
