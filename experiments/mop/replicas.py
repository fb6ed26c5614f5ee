"""The virtual clock where partitions have replicas (Cerebro, PVLDB 13(11), §5.5 and §5.6).

A unit runs on any worker that is there and has its partition. When a worker goes away, its unit
goes back to the queue and runs where a replica is. Policies see what they see in a run, only that
a partition is idle while any of its workers is: so several units of a partition may run at a time,
and a model need not visit every worker.
"""

from __future__ import annotations

import heapq
import itertools
import math
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from experiments.errors import InvariantViolation, SpecError
from experiments.mop.loop import require_done
from experiments.mop.policy import Policy
from experiments.mop.simulate import Absence, Ran, Workload
from experiments.mop.state import EpochState, Floats, UnitTimes
from experiments.mop.unit import Unit

Holders = Sequence[Sequence[int]]
"""Of each partition, the workers that hold it; the first that is idle takes a unit."""


def chained(workers: int, copies: int) -> list[tuple[int, ...]]:
    """Partition p on the workers p, p + 1, … (modulo their number), as many as there are copies.

    Raises
    ------
    SpecError
        There are fewer workers than copies, or no copy.
    """
    if not 1 <= copies <= workers:
        raise SpecError(f"{workers} workers cannot hold {copies} copies of a partition")
    return [tuple((first + k) % workers for k in range(copies)) for first in range(workers)]


def simulate_replicas(
    policy: Policy,
    workload: Workload,
    holders: Holders,
    epoch: int = 1,
    *,
    barrier: bool = False,
    finished: Container[Unit] = (),
    times: UnitTimes | None = None,
) -> list[Ran]:
    """One epoch of training; see :func:`experiments.mop.simulate.simulate` for what is not here.

    Parameters
    ----------
    workload : partitions are alike, so a unit takes what its worker's column says.
    holders : for each partition; a worker may hold several partitions or none.
    barrier : whether new units start only when nothing runs.

    Returns
    -------
    The units in order of their end. What was lost with a worker is not among them.

    Raises
    ------
    SpecError
        A partition has no worker, or units are left whose workers have all gone for good.
    """
    _require_held(holders, workload)
    order = policy.arrange(epoch, workload.models, len(holders))
    cluster = _Cluster(epoch, workload, order, holders, finished, times)
    while cluster.advance():
        if not (barrier and cluster.running):
            while (unit := policy.choose(cluster)) is not None:
                cluster.start(unit)
    cluster.require_held()
    require_done(cluster, policy)
    return cluster.ran


class _What(IntEnum):
    """What happens on the clock; of what happens at one time, the first listed comes first."""

    END = 0
    LEAVE = 1
    ARRIVE = 2


class _Event(NamedTuple):
    seconds: float
    what: _What
    worker: int
    unit: int
    """Number of the unit that ends, counted from the first that was started."""


class _Running(NamedTuple):
    number: int
    start: float


class _Cluster(EpochState):
    """An epoch's state with workers that come, go, and hold some of the partitions.

    Of the idle partitions those come first whose first worker is idle, so that others help out only
    when they have nothing to do with their own.
    """

    def __init__(
        self,
        epoch: int,
        workload: Workload,
        order: Iterable[Unit],
        holders: Holders,
        finished: Container[Unit],
        times: UnitTimes | None,
    ) -> None:
        super().__init__(
            epoch,
            workload.models,
            workload.workers,
            order,
            finished=finished,
            times=times,
            clock=lambda: self._now,
        )
        self._now = 0.0
        self._seconds: list[list[float]] = workload.seconds.tolist()
        self._holders = holders
        self._held: list[list[int]] = [[] for _ in range(workload.workers)]
        for partition, workers in enumerate(holders):
            for worker in workers:
                self._held[worker].append(partition)
        self._idle.clear()
        self._order: list[tuple[bool, int]] = []
        self._ranks: dict[int, tuple[bool, int]] = {}
        self._present: set[int] = set()
        self._starts: dict[int, _Running] = {}
        self._numbers = itertools.count()
        self._events = [
            event for worker in range(self.workers) for event in _stays(workload, worker)
        ]
        heapq.heapify(self._events)
        self.ran: list[Ran] = []

    def start(self, unit: Unit) -> None:
        """Take a unit out of what is pending, to the first idle worker that holds its partition.

        Raises
        ------
        InvariantViolation
            The unit is not pending, no such worker is idle, or its model is busy.
        """
        if unit not in self._pending:
            raise InvariantViolation(f"completeness: {unit} was chosen but is not pending")
        if unit.model in self._busy:
            raise InvariantViolation(f"isolation: {unit} was chosen while the model is elsewhere")
        worker = next(filter(self._is_idle, self._holders[unit.partition]), None)
        if worker is None:
            raise InvariantViolation(f"exclusivity: {unit} was chosen but no worker is idle")
        self._take(unit)
        self._busy.add(unit.model)
        self._running[worker] = unit
        self._since[worker] = self._now
        run = _Running(next(self._numbers), self._now)
        self._starts[worker] = run
        end = self._now + self._seconds[unit.model][worker]
        heapq.heappush(self._events, _Event(end, _What.END, worker, run.number))
        self._refresh(worker)

    def advance(self) -> bool:
        """Go on to the next end of a unit, or to where workers come or go; false if all is done."""
        while self._events and (self._pending or self._running):
            event = heapq.heappop(self._events)
            if event.what == _What.END and not self._is_current(event):
                continue
            self._now = event.seconds
            self._happen(event)
            while self._events and self._events[0][:2] == event[:2] and event.what != _What.END:
                self._happen(heapq.heappop(self._events))
            return True
        return False

    def until_idle(self) -> tuple[Floats, Floats]:
        workers, models = super().until_idle()
        partitions = workers.copy()
        for partition, holders in enumerate(self._holders):
            there = [workers[worker] for worker in holders if worker in self._present]
            partitions[partition] = min(there, default=math.inf)
        return partitions, models

    def require_held(self) -> None:
        """Raises :class:`SpecError` if units are left of a partition that nobody there holds."""
        for unit in self._pending:
            if self._present.isdisjoint(self._holders[unit.partition]):
                raise SpecError(
                    f"no living worker holds partition {unit.partition}, but {unit} is not done"
                )

    def _happen(self, event: _Event) -> None:
        worker = event.worker
        if event.what == _What.ARRIVE:
            self._present.add(worker)
        elif event.what == _What.LEAVE:
            self._present.remove(worker)
            if worker in self._running:
                self._put_back(self._stop(worker))
        else:
            start = self._starts[worker].start
            unit = self._stop(worker)
            self._times.add(unit.model, self._seconds[unit.model][worker])
            self.ran.append(Ran(start, self._now, unit, worker))
        self._refresh(worker)

    def _stop(self, worker: int) -> Unit:
        del self._starts[worker]
        unit = self._running.pop(worker)
        self._busy.remove(unit.model)
        return unit

    def _put_back(self, unit: Unit) -> None:
        """As the first of what is pending."""
        self._put(unit)
        self._pending.move_to_end(unit, last=False)
        self._of[unit.partition].move_to_end(unit.model, last=False)
        for holder in self._holders[unit.partition]:
            self._refresh(holder)

    def _is_idle(self, worker: int) -> bool:
        return worker in self._present and worker not in self._running

    def _is_current(self, event: _Event) -> bool:
        run = self._starts.get(event.worker)
        return run is not None and run.number == event.unit

    def _refresh(self, worker: int) -> None:
        """Which of a worker's partitions are idle, and where in the list."""
        for partition in self._held[worker]:
            rank = self._ranks.pop(partition, None)
            if rank is not None:
                at = bisect_left(self._order, rank)
                del self._order[at], self._idle[at]
            holders = self._holders[partition]
            if self._of[partition] and any(map(self._is_idle, holders)):
                rank = (not self._is_idle(holders[0]), partition)
                at = bisect_left(self._order, rank)
                self._order.insert(at, rank)
                self._idle.insert(at, partition)
                self._ranks[partition] = rank


def _stays(workload: Workload, worker: int) -> Iterator[_Event]:
    """When a worker comes and goes, from when it is ready."""
    since = float(workload.start[worker])
    for absence in sorted(workload.absences.get(worker, ()), key=_start):
        if absence.start > since:
            yield _Event(since, _What.ARRIVE, worker, 0)
            yield _Event(absence.start, _What.LEAVE, worker, 0)
        since = max(since, absence.end)
    if since < math.inf:
        yield _Event(since, _What.ARRIVE, worker, 0)


def _start(absence: Absence) -> float:
    return absence.start


def _require_held(holders: Holders, workload: Workload) -> None:
    if len(holders) != workload.workers:
        raise SpecError(f"holders of {len(holders)} partitions; there are {workload.workers}")
    for partition, workers in enumerate(holders):
        if not workers or not set(workers) <= set(range(workload.workers)):
            raise SpecError(f"partition {partition} cannot be held by workers {[*workers]}")
        if len(set(workers)) < len(workers):
            raise SpecError(f"partition {partition} is twice on a worker: {[*workers]}")
