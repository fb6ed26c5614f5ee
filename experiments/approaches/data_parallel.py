"""Training one model on all workers at once: what every data-parallel approach has in common.

A *turn* is one model configuration's epoch: every worker trains as one rank, then every worker
evaluates its own partition of the validation set. Epoch e reads version e - 1 of the model's state
and leaves version e, so a run goes on after the last turn that the journal says is finished.
"""

from __future__ import annotations

import queue
import time
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from experiments.approaches.base import RunContext
from experiments.approaches.hopping import HoppingExecutor
from experiments.approaches.recovery import ATTEMPTS
from experiments.errors import ReproduceError, ServerDied, SpecError, UnitFailed, UserError
from experiments.mop.idle import Timeline
from experiments.mop.progress import Progress, Score
from experiments.mop.unit import Kind, Lost, Outcome, Unit, UnitResult
from experiments.specs.model import RunSpec
from experiments.telemetry.journal import Span


class _Landed(NamedTuple):
    """What came back of a unit, and when it was given away and came back (driver's clock)."""

    outcome: Outcome
    submitted_ns: int
    done_ns: int


def train(context: RunContext, executor: HoppingExecutor, regroup: Callable[[], None]) -> None:
    """Train and evaluate every configuration for all its epochs, one after the other.

    Parameters
    ----------
    executor : its units of training are the ranks' shares of an epoch, which end together.
    regroup : called before every epoch of training: a group does not outlive its ranks, and one
        that died while it was idle is not missed until then.

    Raises
    ------
    SpecError
        A batch has fewer rows than there are workers.
    ServerDied
        A worker did not come back, or an epoch lost its ranks again and again; names them.
    UserError, UnitFailed
        A unit failed of something the user can mend, or of something else.
    ReproduceError
        The ranks ended an epoch with different weights.
    """
    spec, search = context.spec, context.search
    for config in spec.configs if search is None else search.architectures():
        if global_batch(spec, config.batch_size) < spec.workers:
            raise SpecError(
                f"{config.key}: {spec.workers} workers cannot share a batch of "
                f"{config.batch_size}: use fewer with --workers"
            )
    executor.warm()
    executor.create_states()
    progress = Progress(context.models, spec.workers)
    progress.read(context.history)
    for model, epoch in context.turns():
        executor.warm()  # whoever died while idle is back before the others wait for it
        executor.give_state(model)
        _Turn(context, executor, regroup, progress, model, epoch).run()


def global_batch(spec: RunSpec, batch_size: int) -> int:
    """Rows of all ranks in one step of a configuration, as the run's protocol says."""
    return batch_size * (spec.workers if spec.protocol.ddp_batch == "per-rank" else 1)


class _Turn:
    """One configuration's epoch: carried out, and journaled."""

    def __init__(
        self,
        context: RunContext,
        executor: HoppingExecutor,
        regroup: Callable[[], None],
        progress: Progress,
        model: int,
        epoch: int,
    ) -> None:
        self._context = context
        self._journal = context.journal
        self._executor = executor
        self._regroup = regroup
        self._progress = progress
        self._model = model
        self._epoch = epoch
        self._units = [Unit(model, worker, epoch) for worker in range(context.spec.workers)]
        self._timeline = Timeline(context.spec.workers, time.monotonic_ns())

    def run(self) -> None:
        """Train and evaluate what the journal does not have yet, and end the epoch."""
        keys: dict[str, Any] = {"model": self._model, "epoch": self._epoch}
        self._journal.append("epoch_started", **keys)
        if not self._progress.trained[self._epoch].issuperset(self._units):
            self._persist(self._train)
        for kind in self._context.evaluations:
            self._persist(partial(self._evaluate, kind))
        for worker, gap in self._timeline.close(time.monotonic_ns()):
            self._journal.span(gap, worker=worker, **keys)
        for kind in self._context.evaluations:
            self._progress.mark_evaluated(self._journal, self._model, self._epoch, kind)
        self._journal.append("epoch_finished", **keys)

    def _persist(self, attempt: Callable[[], dict[Unit, Lost]]) -> None:
        """Do something again that lost workers, which are back by then."""
        lost: dict[Unit, Lost] = {}
        for _ in range(1 + ATTEMPTS):
            lost = attempt()
            if not lost:
                return
        reasons = "; ".join(each.reason for each in lost.values())
        raise ServerDied(
            f"model {self._model} in epoch {self._epoch} was lost {1 + ATTEMPTS} times: {reasons}"
        )

    def _train(self) -> dict[Unit, Lost]:
        """The ranks' epoch counts as a whole: what one of them lost, all have to do again."""
        self._regroup()
        landed = self._carry_out("train", self._units, self._epoch - 1)
        lost = _lost(landed)
        if lost:
            reasons = "; ".join(each.reason for each in lost.values())
            for unit, each in landed.items():
                self._record_lost(unit, "train", lost.get(unit, Lost(reasons)), each)
            return lost
        _require_equal(one.outcome for one in landed.values())
        for unit, each in landed.items():
            self._record(unit, "train", each, self._epoch)
            self._progress.note_trained(unit, self._epoch)
        self._context.store.discard(self._model, below=self._epoch)
        return lost

    def _evaluate(self, kind: Kind) -> dict[Unit, Lost]:
        """Partitions are evaluated apart from each other: only what was lost is done again."""
        scored = self._progress.scored_on(self._model, self._epoch, kind)
        pending = [unit for unit in self._units if unit.partition not in scored]
        landed = self._carry_out(kind, pending, self._epoch)
        lost = _lost(landed)
        for unit, each in landed.items():
            if unit in lost:
                self._record_lost(unit, kind, lost[unit], each)
            else:
                self._record(unit, kind, each, self._epoch)
        return lost

    def _carry_out(self, kind: Kind, units: list[Unit], version: int) -> dict[Unit, _Landed]:
        """Give all units away at once and wait for all of them. One that failed ends the run."""
        done: queue.SimpleQueue[tuple[Unit, Outcome, int]] = queue.SimpleQueue()
        submitted: dict[Unit, int] = {}
        for unit in units:
            self._mark("unit_started", unit, kind)
        for unit in units:
            submitted[unit] = time.monotonic_ns()
            self._executor.submit(
                unit, kind, version, lambda *news: done.put((*news, time.monotonic_ns()))
            )
        landed = {}
        for _ in units:
            unit, outcome, done_ns = done.get()
            landed[unit] = _Landed(outcome, submitted[unit], done_ns)
        self._raise_failure(kind, landed)
        return {unit: landed[unit] for unit in units}

    def _raise_failure(self, kind: Kind, landed: dict[Unit, _Landed]) -> None:
        failed = {u: o for u, (o, *_) in landed.items() if isinstance(o, BaseException)}
        for unit, error in failed.items():
            reason = "".join(traceback.format_exception_only(error)).strip()
            self._mark("unit_failed", unit, kind, error=reason)
        if not failed:
            return
        for unit, lost in _lost(landed).items():
            self._record_lost(unit, kind, lost, landed[unit])
        unit, error = next(iter(failed.items()))
        if isinstance(error, UserError | ServerDied):
            raise error
        trace = "".join(traceback.format_exception(error)).rstrip()
        raise UnitFailed(f"{kind} of {unit} failed on worker {unit.worker}:\n{trace}") from error

    def _record(self, unit: Unit, kind: Kind, landed: _Landed, version: int) -> None:
        result = landed.outcome
        assert isinstance(result, UnitResult)
        self._record_spans(unit, result.spans, landed)
        seconds = (landed.done_ns - landed.submitted_ns) / 1e9
        detail = {"version": version, "seconds": seconds, **result.detail()}
        self._mark("unit_finished", unit, kind, **detail)
        if kind != "train":
            self._progress.note_scored(unit, kind, Score.of(result))

    def _record_lost(self, unit: Unit, kind: Kind, lost: Lost, landed: _Landed) -> None:
        self._record_spans(unit, lost.spans, landed)
        self._mark("unit_lost", unit, kind, reason=lost.reason)

    def _record_spans(self, unit: Unit, spans: Iterable[Span], landed: _Landed) -> None:
        own = tuple(spans)
        gaps = self._timeline.cover(unit.worker, own, landed.submitted_ns, landed.done_ns)
        for span in (*gaps, *own):
            self._journal.span(span, **_keys(unit))

    def _mark(self, event: str, unit: Unit, kind: Kind, **detail: Any) -> None:
        self._journal.append(event, **_keys(unit), kind=kind, **detail)


def _keys(unit: Unit) -> dict[str, Any]:
    return {
        "worker": unit.worker,
        "model": unit.model,
        "partition": unit.partition,
        "epoch": unit.epoch,
    }


def _lost(landed: dict[Unit, _Landed]) -> dict[Unit, Lost]:
    return {unit: one.outcome for unit, one in landed.items() if isinstance(one.outcome, Lost)}


def _require_equal(outcomes: Iterable[Outcome]) -> None:
    """Refuse ranks that did not take the same steps to the same weights."""
    results = [each for each in outcomes if isinstance(each, UnitResult)]
    for counter in ("steps", "weights_digest"):
        found = [result.counters[counter] for result in results]
        if len(set(found)) > 1:
            raise ReproduceError(f"the ranks differ in {counter}: {found}, in order of the ranks")
