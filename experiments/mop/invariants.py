"""The model hopper's four invariants, checked on a journal (Cerebro, PVLDB 13(11), §3.1).

==================  ================================================================================
completeness        each model meets each partition exactly once in every epoch
isolation           one unit of a model is trained at a time
exclusivity         one unit runs on a worker at a time
non-preemption      a unit runs from its start to its end and counts once; each finished unit takes
                    its model's state exactly one version further
==================  ================================================================================

The marks of a journal are written by one process around each unit: its start is marked before it is
submitted and its end after it is reported. So what does not overlap in the journal did not overlap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Set

from experiments.errors import InvariantViolation
from experiments.mop.unit import Unit
from experiments.telemetry.journal import Event

_ENDS = ("unit_finished", "unit_failed", "unit_lost")
_RESTARTS = ("run_started", "interrupted")


def check(events: Iterable[Event], models: int, workers: int, epochs: Iterable[int]) -> None:
    """Check a run's events, in the order written.

    Units that were running when the run was interrupted, or that were lost with their worker, do
    not count; they must be repeated.

    Parameters
    ----------
    events : a run's journal; other events than marks of units and epochs are passed over.
    models, workers : every model in 0..models-1 must meet every partition in 0..workers-1.
    epochs : the epochs that must be complete; the other invariants are checked on all events.

    Raises
    ------
    InvariantViolation
        The message names the invariant and the units.
    """
    audit = _audited(events)
    for epoch in epochs:
        audit.require_complete(epoch, set(range(models)), workers)


def check_each(events: Iterable[Event], entries: Iterable[tuple[int, int]], workers: int) -> None:
    """The same for models with epochs of their own, as in a search.

    Parameters
    ----------
    entries : the (model, epoch) that must be complete; others may be under way.
    """
    audit = _audited(events)
    wanted: dict[int, set[int]] = {}
    for model, epoch in entries:
        wanted.setdefault(epoch, set()).add(model)
    for epoch, models in wanted.items():
        audit.forget_others(epoch, models)
        audit.require_complete(epoch, models, workers)


def _audited(events: Iterable[Event]) -> _Audit:
    audit = _Audit()
    for event in events:
        audit.see(event)
    return audit


class _Audit:
    def __init__(self) -> None:
        self.running: dict[tuple[str, Unit], int] = {}
        self.on_worker: dict[int, Unit] = {}
        self.in_training: dict[int, Unit] = {}
        self.trained: dict[int, Counter[Unit]] = {}
        self.versions: dict[int, int] = {}
        self.epochs: set[int] = set()

    def see(self, event: Event) -> None:
        if event.kind == "epoch_started" and event.epoch is not None:
            if event.model is None:  # one that names a model is one of several that are open
                if event.epoch in self.epochs:
                    self._forget_running()
                self.epochs.add(event.epoch)
        elif event.kind in _RESTARTS:
            self._forget_running()
        elif event.kind in ("unit_started", *_ENDS):
            unit, worker = _unit(event)
            kind = str(event.detail.get("kind", "train"))
            if event.kind == "unit_started":
                self._start(kind, unit, worker)
            else:
                self._end(kind, unit, worker, event)

    def _start(self, kind: str, unit: Unit, worker: int) -> None:
        if (kind, unit) in self.running:
            raise InvariantViolation(f"non-preemption: {unit} was started again while it ran")
        if kind == "train" and self._count(unit):
            raise InvariantViolation(f"non-preemption: {unit} was started again after it finished")
        if worker in self.on_worker:
            raise InvariantViolation(
                f"exclusivity: {unit} was started on worker {worker} "
                f"while {self.on_worker[worker]} ran there"
            )
        if kind == "train":
            if unit.model in self.in_training:
                raise InvariantViolation(
                    f"isolation: {unit} was started while {self.in_training[unit.model]} ran"
                )
            self.in_training[unit.model] = unit
        self.running[kind, unit] = worker
        self.on_worker[worker] = unit

    def _end(self, kind: str, unit: Unit, worker: int, event: Event) -> None:
        ran_on = self.running.pop((kind, unit), None)
        if ran_on is None:
            raise InvariantViolation(f"non-preemption: {unit} ended but was not running")
        if ran_on != worker:
            raise InvariantViolation(
                f"non-preemption: {unit} was started on worker {ran_on} and ended on {worker}"
            )
        del self.on_worker[worker]
        if kind == "train":
            del self.in_training[unit.model]
            if event.kind == "unit_finished":
                self.trained.setdefault(unit.epoch, Counter())[unit] += 1
                self._advance(unit, event)

    def _advance(self, unit: Unit, event: Event) -> None:
        version = event.detail.get("version")
        if version is None:
            return
        before = self.versions.get(unit.model, 0)
        if version != before + 1:
            raise InvariantViolation(
                f"non-preemption: {unit} took its state from version {before} to {version}"
            )
        self.versions[unit.model] = version

    def _forget_running(self) -> None:
        self.running.clear()
        self.on_worker.clear()
        self.in_training.clear()

    def _count(self, unit: Unit) -> int:
        return self.trained.get(unit.epoch, Counter())[unit]

    def forget_others(self, epoch: int, models: Set[int]) -> None:
        """Leave only some models' units of an epoch."""
        met = self.trained.get(epoch, Counter())
        self.trained[epoch] = Counter({u: n for u, n in met.items() if u.model in models})

    def require_complete(self, epoch: int, models: Set[int], workers: int) -> None:
        expected = {
            Unit(model, partition, epoch) for model in models for partition in range(workers)
        }
        met = self.trained.get(epoch, Counter())
        for units, what in (
            (expected - met.keys(), "not finished"),
            (met.keys() - expected, "not part of this run"),
        ):
            if units:
                raise InvariantViolation(
                    f"completeness: {len(units)} of {len(expected)} units of epoch {epoch} are "
                    f"{what}: {_some(units)}"
                )


def _unit(event: Event) -> tuple[Unit, int]:
    if event.model is None or event.partition is None or event.epoch is None:
        raise InvariantViolation(f"completeness: a {event.kind} in the journal names no unit")
    unit = Unit(event.model, event.partition, event.epoch)
    return unit, unit.worker if event.worker is None else event.worker


def _some(units: Iterable[Unit]) -> str:
    first, *rest = sorted(units, key=lambda unit: (unit.epoch, unit.model, unit.partition))
    return f"{first}" + (f" and {len(rest)} more" if rest else "")
