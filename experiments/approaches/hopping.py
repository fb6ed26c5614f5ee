"""What every approach that hops has in common: the engine and the executor it drives.

An approach brings a :class:`Remote`: how to run one step on worker k. The rest is shared: warming
up, initial states, turning units into steps, one thread a worker that waits for its answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from experiments.approaches.base import RunContext
from experiments.approaches.recovery import Recovery
from experiments.errors import NotBegun, ServerDied, SpecError
from experiments.models.worker import TRAIN, Report, spans_of
from experiments.mop.engine import Engine
from experiments.mop.policy import Policy, RoundRobinPolicy, make_policy
from experiments.mop.unit import Lost, Outcome, Unit, UnitResult
from experiments.mop.visits import visits
from experiments.paths import Artifacts
from experiments.search.journaled import Entry, Search
from experiments.specs.model import RunSpec, derive_seed
from experiments.telemetry.journal import Span, read


class Remote(Protocol):
    """Worker k's side, called from worker k's own thread; every call blocks until it is done.

    A call that loses its server raises :class:`~experiments.errors.ServerDied`; the next one makes
    a new connection, or raises the same while there is nothing to connect to. A unit that finds its
    server dead before it has begun may raise :class:`~experiments.errors.NotBegun`.
    """

    def warm(self, worker: int, job: Mapping[str, Any]) -> Report:
        """Build the job's model on this worker."""

    def create(self, worker: int, job: Mapping[str, Any], target: str) -> Report:
        """Write an initial state to the file ``target`` of the model store."""

    def unit(
        self, worker: int, kind: str, job: Mapping[str, Any], source: str, target: str | None
    ) -> Report:
        """Load ``source``, train or evaluate on the worker's partition, dump to ``target``.

        After training, the model is evaluated on the partition where ``job["evaluations"]`` says on
        what.
        """

    def cancel(self) -> None:
        """Make running calls return soon, with an error."""


class HoppingExecutor:
    """Carries units out on a :class:`Remote`; implements the hopper's ``Executor``."""

    def __init__(self, context: RunContext, remote: Remote) -> None:
        self._context = context
        self._recovery = Recovery()
        self._remote = remote
        self._lanes = [
            ThreadPoolExecutor(1, f"worker-{worker}") for worker in range(context.spec.workers)
        ]

    def submit(
        self,
        unit: Unit,
        kind: str,
        version: int,
        done: Callable[[Unit, Outcome], None],
    ) -> None:
        """Start a unit on the worker of its partition; ``done`` is called from its thread."""
        lane = self._lanes[unit.partition]
        future = lane.submit(self._run, unit, kind, version)
        future.add_done_callback(lambda finished: done(unit, _outcome(finished)))

    def cancel(self) -> None:
        """Interrupt what runs, and what waits for a worker."""
        self._recovery.stop()
        self._remote.cancel()

    def close(self) -> None:
        """Let the workers' threads end."""
        self._recovery.stop()
        for lane in self._lanes:
            lane.shutdown(wait=True, cancel_futures=True)

    def warm(self) -> None:
        """Build and trace every architecture on every worker, all workers at once."""
        for each in self._context.networks():
            self.everywhere(partial(self._warm, each))

    def everywhere(self, step: Callable[[int], Report]) -> list[Report]:
        """Do a step on all workers at once, again on one that dies meanwhile; journal its spans."""
        return self.end(self.begin(step))

    def begin(self, step: Callable[[int], Report]) -> list[Future[Report]]:
        """Start a step on all workers; what is asked of a worker later waits for it."""
        return [
            lane.submit(self._again, partial(step, worker))
            for worker, lane in enumerate(self._lanes)
        ]

    def end(self, pending: list[Future[Report]]) -> list[Report]:
        """Wait for a step on all workers and journal its spans."""
        reports = []
        for worker, future in enumerate(pending):
            reports.append(future.result())
            self._journal(reports[-1], worker=worker)
        return reports

    def create_states(self) -> None:
        """Write the initial state of every model that has none, spread over the workers.

        Models of one architecture start from the same weights, in every approach. A search does not
        know its models yet, so each architecture's state is kept, behind the last model's, for
        :meth:`give_state`.
        """
        search = self._context.search
        wanted = dict(enumerate(self._context.spec.configs))
        if search is not None:
            wanted = dict(enumerate(search.architectures(), search.most))
        pending = []
        for model, config in wanted.items():
            if self._context.store.latest(model) is not None:
                continue
            worker = model % len(self._lanes)
            each = self._context.job(config)
            seed = derive_seed(self._context.spec.seed, "initial", config.architecture)
            target = self._file(model, 0)
            create = partial(self._remote.create, worker, {**each, "seed": seed}, target)
            probe = partial(self._remote.warm, worker, each)
            future = self._lanes[worker].submit(self._recovery.persist, create, probe)
            pending.append((worker, model, future))
        for worker, model, future in pending:
            self._journal(future.result(), worker=worker, model=model)

    def give_state(self, model: int) -> None:
        """Write a searched model's initial state, if it has none: its architecture's."""
        store, search = self._context.store, self._context.search
        if search is None or store.latest(model) is not None:
            return
        names = [config.architecture for config in search.architectures()]
        place = search.most + names.index(search.configs[model].architecture)
        store.save(model, 0, store.load(place, 0))

    def _job(self, model: int) -> dict[str, Any]:
        return self._context.job(self._context.configs[model])

    def _warm(self, work: Mapping[str, Any], worker: int) -> Report:
        return self._remote.warm(worker, work)

    def _again(self, step: Callable[[], Report]) -> Report:
        try:
            return step()
        except ServerDied as died:
            return self._recovery.back(step, died)

    def _run(self, unit: Unit, kind: str, version: int) -> UnitResult | Lost:
        """A unit whose worker died while nothing ran there waits for it and is not lost."""
        warm = partial(self._remote.warm, unit.worker, self._job(unit.model))
        waited: tuple[Span, ...] = ()
        while True:
            try:
                return self._run_once(unit, kind, version, waited)
            except ServerDied as died:
                waited += spans_of(self._recovery.back(warm, died))
                if not isinstance(died, NotBegun):
                    return Lost(str(died).partition("\n")[0], waited)

    def _run_once(
        self, unit: Unit, kind: str, version: int, waited: tuple[Span, ...]
    ) -> UnitResult:
        spec = self._context.spec
        seed = derive_seed(spec.seed, "unit", unit.model, unit.epoch, unit.partition)
        job = {**self._job(unit.model), "seed": seed}
        if kind == TRAIN and self._context.evaluates_units:
            job["evaluations"] = self._context.evaluations
        report = self._remote.unit(
            unit.partition,
            kind,
            job,
            self._file(unit.model, version),
            self._file(unit.model, version + 1) if kind == TRAIN else None,
        )
        result = UnitResult.from_report(report)
        return replace(result, spans=(*waited, *result.spans))

    def _file(self, model: int, version: int) -> str:
        path = self._context.store.path(model, version)
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)

    def _journal(self, report: Report, **keys: int) -> None:
        for span in spans_of(report):
            self._context.journal.span(span, **keys)


def _outcome(future: Future[UnitResult | Lost]) -> Outcome:
    error = future.exception()
    return future.result() if error is None else error


def _policy(spec: RunSpec) -> Policy:
    """The run's policy; ``replay:<run>`` repeats the visit order of a run's journal."""
    name, _, source = spec.policy.partition(":")
    order = visits(read(Artifacts().run(source).journal)) if source else None
    return make_policy(name, spec.seed, order)


def train(context: RunContext, executor: HoppingExecutor) -> None:
    """Model Hopper Parallelism (Cerebro, PVLDB 13(11), §3): epochs, each with its evaluation.

    Raises
    ------
    SpecError
        A search with a policy that has barriers, which need all models of an epoch at once.
    """
    spec = context.spec
    if context.search is not None and spec.policy == RoundRobinPolicy.name:
        raise SpecError(
            f"policy {spec.policy}: in a search models come and go, so it has no turns; use "
            "random, longest_first or matching"
        )
    executor.warm()
    executor.create_states()
    engine = Engine(
        models=context.models,
        workers=spec.workers,
        policy=_policy(spec),
        executor=executor,
        journal=context.journal,
        store=context.store,
        history=context.history,
        evaluations=context.evaluations,
    )
    if context.search is not None:
        _search(engine, context.search, executor)
        return
    for epoch in range(1, spec.epochs + 1):
        engine.run_epoch(epoch)
        engine.evaluate(epoch)


def _search(engine: Engine, search: Search, executor: HoppingExecutor) -> None:
    """Hop with what a search asks; what ends makes room for the next at once, without a barrier."""
    begun: set[Entry] = set()

    def more() -> list[Entry]:
        fresh = [entry for entry in search.open() if entry not in begun]
        begun.update(fresh)
        for entry in fresh:
            executor.give_state(entry.model)
        return fresh

    engine.stream(more(), more)
