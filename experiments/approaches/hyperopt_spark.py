"""Hyperopt-Spark: each model config is trained on the whole data set by one worker.

The paper's task-parallel baseline (§5.2.4; original release, §2.10): no state moves between
workers, but every worker needs a copy of all data. Which configs are tried is the run's search's
business, as in every approach; hyperopt's ``SparkTrials`` bring them to the workers. A lost trial
is dispatched again and goes on after its last finished unit.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from functools import partial
from typing import ClassVar

from experiments.approaches import hyperopt_task
from experiments.approaches.answers import Answer, StepFailed, report_of
from experiments.approaches.base import RunContext, Trait
from experiments.approaches.full_copy import full_copies
from experiments.approaches.hyperopt_fmin import Fmin, Result
from experiments.approaches.hyperopt_task import Point, Work
from experiments.approaches.recovery import ATTEMPTS, Recovery
from experiments.approaches.spark_client import Spark
from experiments.approaches.whole_units import WholeUnits
from experiments.errors import EnvironmentFault, ServerDied, UnitFailed
from experiments.models.worker import spans_of
from experiments.specs.topology import SPARK_MASTER, SPARK_WORKER
from experiments.telemetry.journal import Event, Tail

LOOK_SECONDS = 0.05
"""How often the driver looks what trials have logged."""

START_SECONDS = 120.0
"""How long Spark may take to have an executor for a trial while no other one runs."""

SETTINGS = {
    # A model is built once in a process, for all its trials.
    "spark.python.worker.reuse": "true",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "1s",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "120",
}


class Approach:
    """The approach as the driver runs it. Spark and its executors are up when it is made."""

    traits: ClassVar[frozenset[Trait]] = frozenset({Trait.TASK_PARALLEL})
    roles: ClassVar[tuple[str, ...]] = (SPARK_MASTER, SPARK_WORKER)

    def __init__(self, context: RunContext) -> None:
        spec = context.spec
        self._context = context
        self._trials: Trials | None = None
        self._recovery = Recovery()
        self._work = Work(
            run=context.journal.run,
            dataset=str(context.dataset.root),
            store=str(context.store.root),
            copies=full_copies(context),
            seed=spec.seed,
            ends_early=spec.search is not None,
            emulation=spec.emulation,
            switches=context.switches(),
            kinds=("train", *context.evaluations),
        )
        self._spark = Spark(context.topology, context.store.root.name, spec.spark_master, SETTINGS)
        try:
            self._on_all(partial(hyperopt_task.start, self._work))
        except ServerDied as died:
            self._spark.stop()
            if spec.spark_master:
                raise EnvironmentFault(
                    f"{died}: {spec.spark_master} must have {spec.workers} cores and their memory "
                    "free, and see this checkout and the state folder"
                ) from None
            raise
        except BaseException:
            self._spark.stop()
            raise

    def prepare(self) -> None:
        """Have every worker write its own copy of the whole data set."""
        self._on_all(partial(hyperopt_task.copy, self._work))

    def train(self) -> None:
        """Build the models, then try everything that is to be tried."""
        self._on_all(partial(hyperopt_task.warm, self._work, self._context.networks()))
        self._trials = Trials(self._context, self._work, self._spark)
        self._trials.run()

    def close(self) -> None:
        """Stop trials and end the application."""
        if self._trials is not None:
            self._trials.stop()
        self._spark.stop()

    def _on_all(self, step: Callable[[], tuple[int, Answer]]) -> None:
        """Do a step on all workers at once, again when one is lost; journal its spans."""
        found = self._recovery.persist(lambda: self._spark.on_all(step), self._spark.context)
        for worker, answer in sorted(found, key=lambda pair: pair[0]):
            for span in spans_of(report_of(answer)):
                self._context.journal.span(span, worker=worker)


@dataclass
class _Trial:
    """A trial under way: its log as far as it is read, and its unit that has not ended."""

    point: Point
    tail: Tail
    submitted_ns: int
    running: Event | None = None


class Trials:
    """Everything that a run trains, as trials of hyperopt's."""

    def __init__(self, context: RunContext, work: Work, spark: Spark) -> None:
        self._context = context
        self._work = work
        self._spark = spark
        self._recovery = Recovery()
        self._fmin = self._begin()
        self._units = WholeUnits(context)
        self._going: dict[str, _Trial] = {}
        self._attempts: Counter[tuple[int, int]] = Counter()
        self._last_ran = time.monotonic()
        self._stopped = threading.Event()
        for log in context.store.root.glob(work.log("*").name):
            log.unlink()  # of an earlier start; what it has beyond the journal is done again

    def run(self) -> None:
        """Try what is open until nothing is.

        Raises
        ------
        UserError, UnitFailed
            A unit failed of something the user can mend, or of something else.
        ServerDied
            Spark did not come back, or a trial lost its worker again and again.
        """
        while not self._stopped.is_set():
            self._revive()
            self._submit()
            if not self._going:
                break
            self._stopped.wait(LOOK_SECONDS)
            ended = self._fmin.ended()
            for trial in self._going.values():
                self._follow(trial)
            self._require_executors()
            for name in [name for name in self._going if name in ended]:
                self._end(self._going[name], ended[name])
        self._units.close()
        self.stop()

    def stop(self) -> None:
        """Try nothing more. Safe to call again."""
        self._stopped.set()
        self._recovery.stop()
        self._fmin.stop()

    def _begin(self) -> Fmin:
        objective = partial(hyperopt_task.trial, self._work)

        def begin() -> Fmin:
            return Fmin(self._spark.context(), self._context.spec.workers, objective)

        return self._recovery.persist(begin, self._spark.context)

    def _revive(self) -> None:
        """Begin anew where Spark's application or hyperopt has ended; what was tried is lost."""
        context = self._recovery.persist(self._spark.context, self._spark.context)
        if self._fmin.lives and self._fmin.context is context:
            return
        self._fmin.stop()
        for trial in list(self._going.values()):
            self._follow(trial)
            self._end(trial, None)
        self._fmin = self._begin()

    def _submit(self) -> None:
        """Hand over what is open and not under way."""
        going = {trial.point.model for trial in self._going.values()}
        wanted, configs = list(self._open()), self._context.configs
        points = [
            Point(uuid.uuid4().hex, model, self._units.done[model], stop, *astuple(configs[model]))
            for model, stop in wanted
            if model not in going
        ]
        for point in points:
            self._attempts[point.model, point.done] += 1
            self._units.begin(point.model, 1 + point.done // len(self._work.kinds))
            tail = Tail(self._work.log(point.trial))
            self._going[point.trial] = _Trial(point, tail, time.monotonic_ns())
        if points:
            self._fmin.submit(points)

    def _open(self) -> Iterator[tuple[int, int]]:
        """Models that are to be trained, and to which epoch."""
        spec, search = self._context.spec, self._context.search
        if search is None:
            for model in range(len(spec.configs)):
                if self._units.done[model] < len(self._work.kinds) * spec.epochs:
                    yield model, spec.epochs
        else:
            for entry in search.open():
                yield entry.model, search.until(entry.model)

    def _follow(self, trial: _Trial) -> None:
        """Take over what a trial has logged."""
        for event in trial.tail.events():
            if event.kind == "unit_started":
                trial.running = event
                self._units.started(event)
            else:
                trial.running = None
                self._units.finished(event, trial.submitted_ns)

    def _require_executors(self) -> None:
        now = time.monotonic()
        if any(trial.running for trial in self._going.values()):
            self._last_ran = now
        elif now - self._last_ran > START_SECONDS:
            raise ServerDied(f"Spark had no executor for a trial in {START_SECONDS:g} s")

    def _end(self, trial: _Trial, result: Result | None) -> None:
        """A trial is over, whose log has been read: well, by what it raised, or lost."""
        point, running = trial.point, trial.running
        del self._going[point.trial]
        with contextlib.suppress(FileNotFoundError):
            self._work.log(point.trial).unlink()
        if result is None:
            reason = f"trial of model {point.model} is lost with its worker"
            if running is not None:
                self._units.lost(running, reason)
            if self._attempts[point.model, self._units.done[point.model]] > ATTEMPTS:
                raise ServerDied(f"{reason}, for the {1 + ATTEMPTS}th time")
        elif "error" in result:
            if running is not None:
                self._units.failed(running, f"{result['error']}: {result['text']}")
            try:
                report_of(result)
            except StepFailed as error:
                raise UnitFailed(f"trial of model {point.model} failed:\n{error}") from error
