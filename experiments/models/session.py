"""One process's compiled models: load a state, train or evaluate rows, dump the state.

Used alike by worker processes and by PL/Python inside a database server. Models are built and
traced once per architecture; a hop only sets variables.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.models import codec
from experiments.models.batching import Batcher, Rows
from experiments.models.buffers import BufferCache
from experiments.models.job import Job
from experiments.models.measures import Counts

if TYPE_CHECKING:
    from experiments.models.emulated import Pace
    from experiments.models.job import ModelKey
    from experiments.models.steps import Step


@dataclass(frozen=True)
class TrainOutcome:
    """What one pass of training saw, each batch before its own update.

    Attributes
    ----------
    rows, batches : how many there were.
    loss_sum : cross-entropy summed over rows, without the L2 term.
    correct : rows whose label had the highest logit.
    """

    rows: int
    batches: int
    loss_sum: float
    correct: int


class Session:
    """Compiled models and decoded buffers of one process; not for use by two threads at once.

    The calls of one unit are ``load``, then ``train_start``, ``train_rows`` for each block of rows,
    ``train_finish``, then ``dump``; or ``load`` and the three ``evaluate_`` calls.

    Parameters
    ----------
    buffers : keeps decoded data; or how many bytes of it may be kept.
    framework : as :func:`experiments.models.steps.make_step` takes it; imported at the first use of
        a model that needs it.

    Attributes
    ----------
    buffers : the decoded data of this process.
    between_batches : called before every batch; what it raises stops the pass.
    builds : models built so far.
    """

    def __init__(self, buffers: int | BufferCache, framework: str = "tensorflow") -> None:
        self.buffers = BufferCache(buffers) if isinstance(buffers, int) else buffers
        self.between_batches: Callable[[], None] | None = None
        self.builds = 0
        self._framework = framework
        self._steps: dict[ModelKey, Step] = {}
        self._paces: dict[ModelKey, Pace] = {}
        self._warm: set[ModelKey] = set()
        self._rebuilt: ModelKey | None = None
        self._loaded: Job | None = None
        self._dirty = False
        self._pass: _Pass | None = None

    @property
    def traces(self) -> int:
        """How often a model's code was turned into a graph so far."""
        return sum(step.traces for step in self._steps.values())

    @property
    def step(self) -> Step:
        """The step of the loaded model, for what only its framework can do."""
        return self._step(self._clean())

    def warm(self, job: Mapping[str, Any]) -> bool:
        """Import, build, compile and trace what this job needs; whether anything was to be done.

        Never touches a loaded state: it trains, evaluates and sets a new model once, and a new
        model holds no state.
        """
        wanted = Job.from_json(job)
        key = wanted.model
        if key in self._warm:
            return False
        step = self._step(wanted)
        if self._loaded is not None and self._loaded.model == key:
            return False
        if wanted.emulation is None:
            self._exercise(step, wanted)
        self._warm.add(key)
        return True

    def rebuild(self, job: Mapping[str, Any]) -> None:
        """Forget the compiled model of this job, and build, compile and trace it anew.

        What was loaded is gone. An emulated device counts the time this takes as the next state's.
        """
        key = Job.from_json(job).model
        self._loaded = self._pass = None
        self._steps.pop(key, None)
        self._warm.discard(key)
        gc.collect()  # graphs and variables of a model are in cycles
        self.warm(job)
        self._rebuilt = key

    def _exercise(self, step: Step, wanted: Job) -> None:
        """Do everything once that a framework compiles or traces."""
        x = np.zeros((wanted.batch_size, *wanted.input_shape), np.float32)
        y = np.zeros((wanted.batch_size, wanted.classes), np.int16)
        y[:, 0] = 1
        step.train_batch(x, y)
        step.totals()
        step.predict(x)
        step.set_state(codec.decode(codec.encode(*step.get_state(), step.layout)))

    def initial_state(self, job: Mapping[str, Any], seed: int) -> bytes:
        """Random weights and a fresh optimizer: the same bytes in every process and framework."""
        step = self._step(Job.from_json(job))
        return codec.encode(step.initial_weights(seed), [], 0, step.layout)

    def load(self, job: Mapping[str, Any], state: codec.Buffer) -> None:
        """Set weights, optimizer, learning rate and λ. Never rebuilds or retraces a known model.

        Raises
        ------
        DamagedState
            The state is damaged or belongs to another architecture. What was loaded before stays.
        """
        wanted = Job.from_json(job)
        step = self._step(wanted)
        decoded = codec.decode(state, step.layout)
        self._loaded = self._pass = None
        pace = self._paces.get(wanted.model)
        if pace is not None and self._rebuilt != wanted.model:
            pace.begin()
        self._rebuilt = None
        step.set_state(decoded)
        step.configure(wanted.learning_rate, wanted.regularization)
        self._dirty = False
        self._loaded = wanted

    def train_start(self, job: Mapping[str, Any], seed: int) -> None:
        """Begin a pass of training on the loaded state; dropout masks derive from ``seed``."""
        step = self._begin(Job.from_json(job), training=True)
        step.reseed(seed)

    def train_rows(self, x: Rows, y: Rows) -> None:
        """Train on a block of rows; rows that do not fill a batch wait for the next block.

        Parameters
        ----------
        x : float32 [n, *input_shape] or [n, features].
        y : int16 [n, classes], one-hot.

        Raises
        ------
        ValueError
            Rows of another type or shape.
        """
        self._rows(x, y, training=True)

    def train_finish(self) -> TrainOutcome:
        """Train on the rows left over, and sum up."""
        step, done = self._finish(training=True)
        totals = step.totals()
        return TrainOutcome(done.rows, done.batches, totals.loss_sum, totals.correct)

    def evaluate_start(self, job: Mapping[str, Any]) -> None:
        """Begin an evaluation of the loaded state."""
        self._begin(Job.from_json(job), training=False)

    def evaluate_rows(self, x: Rows, y: Rows) -> None:
        """Evaluate a block of rows; parameters and errors as :meth:`train_rows`."""
        self._rows(x, y, training=False)

    def evaluate_finish(self) -> Counts:
        """Evaluate the rows left over; what was counted over all."""
        _, done = self._finish(training=False)
        return done.counts

    def dump(self, optimizer: bool = True) -> bytes:
        """The loaded model's state, after training if there was any.

        Parameters
        ----------
        optimizer : False leaves Adam's moments and step count out, so that whoever loads this
            starts a fresh optimizer (what the paper's release did at every hop).
        """
        job = self._clean()
        if self._pass is not None:
            raise RuntimeError("dump() in the middle of a pass; finish it first")
        step = self._step(job)
        weights, moments, count = step.get_state()
        self._settle(job)
        if not optimizer:
            moments, count = [], 0
        return codec.encode(weights, moments, count, step.layout)

    def emulated(self) -> dict[str, float]:
        """What the loaded model's emulated device counts since the state was loaded; empty where a
        framework computes. See :meth:`experiments.models.emulated.Pace.counters`."""
        job = self._loaded
        if job is None or job.emulation is None:
            return {}
        occupied = job.emulation.occupied_bytes(job.batch_size)
        return {**self._paces[job.model].counters(), "occupied_bytes": occupied}

    def _step(self, job: Job) -> Step:
        key = job.model
        if key not in self._steps:
            self._steps[key] = self._make(job)
            self.builds += 1
        return self._steps[key]

    def _make(self, job: Job) -> Step:
        if job.emulation is not None:
            from experiments.models.emulated import EmulatedStep

            step = EmulatedStep(job.architecture, job.classes, job.emulation, self._between)
            self._paces[job.model] = step.pace
            return step
        from experiments.models.steps import make_step

        return make_step(self._framework, job.architecture, job.input_shape, job.classes)

    def _between(self) -> None:
        if self.between_batches is not None:
            self.between_batches()

    def _settle(self, job: Job) -> None:
        """Wait for an emulated device; frameworks wait for themselves."""
        if (pace := self._paces.get(job.model)) is not None:
            pace.finish()

    def _clean(self) -> Job:
        if self._dirty:
            raise RuntimeError("training was broken off; load a state before going on")
        if self._loaded is None:
            raise RuntimeError("no state is loaded")
        return self._loaded

    def _begin(self, job: Job, training: bool) -> Step:
        loaded = self._clean()
        if job != loaded:
            raise RuntimeError(f"{job} is not what is loaded: {loaded}")
        if self._pass is not None:
            raise RuntimeError("a pass is under way; finish it first")
        step = self._step(job)
        step.reset_totals()
        if (pace := self._paces.get(job.model)) is not None:
            pace.resume()
        self._pass = _Pass(job, training, Batcher(job.batch_size))
        return step

    def _under_way(self, training: bool) -> _Pass:
        self._clean()
        if self._pass is None or self._pass.training is not training:
            raise RuntimeError(f"no {'training' if training else 'evaluation'} was started")
        return self._pass

    def _rows(self, x: Rows, y: Rows, training: bool) -> None:
        going = self._under_way(training)
        shape = going.job.input_shape
        if x.dtype != np.float32 or x.size != len(x) * int(np.prod(shape)):
            raise ValueError(f"x must be float32 [n, {shape}], not {x.dtype} {x.shape}")
        if y.dtype != np.int16 or y.shape != (len(x), going.job.classes):
            raise ValueError(
                f"y must be int16 [{len(x)}, {going.job.classes}], not {y.dtype} {y.shape}"
            )
        self._run(going, going.batcher.push(x.reshape(-1, *shape), y))

    def _run(self, going: _Pass, batches: Iterable[tuple[Rows, Rows]]) -> None:
        step = self._step(going.job)
        try:
            for x, y in batches:
                self._between()
                if going.training:
                    step.train_batch(x, y)
                else:
                    going.counts.add(step.predict(x), y)
                going.rows += len(x)
                going.batches += 1
        except BaseException:
            self._pass = None
            self._dirty = going.training  # an evaluation changes nothing
            raise

    def _finish(self, training: bool) -> tuple[Step, _Pass]:
        going = self._under_way(training)
        self._run(going, going.batcher.flush())
        self._pass = None
        self._settle(going.job)
        return self._step(going.job), going


@dataclass
class _Pass:
    """A pass over rows that is under way."""

    job: Job
    training: bool
    batcher: Batcher
    counts: Counts = field(default_factory=Counts)
    rows: int = 0
    batches: int = 0
