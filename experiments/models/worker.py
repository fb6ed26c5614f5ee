"""The work of a unit, the same in a worker process and in a database backend.

A :class:`UnitWorker` loads a model's state, trains or evaluates it on the blocks of one partition,
dumps it, and times every step by phase. Who moves the blocks and the state in and out (a file, a
query, an aggregate) is the caller's business. The code keeps to Python 3.9: Greenplum's PL/Python
is that old.

A *job* is a mapping with ``model`` (what a :class:`~experiments.models.session.Session` takes) and,
where a step needs it, ``seed``. A run's protocol may add ``rebuild`` (build the model anew before
its state is loaded), ``reset_optimizer`` (save states without Adam's moments) and ``evaluations``
(what the model is evaluated on at the end of a unit of training, before another worker has it).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.errors import DataError
from experiments.models import frameworks
from experiments.models.codec import DamagedState
from experiments.models.session import Session
from experiments.telemetry.clock import UnitClock
from experiments.telemetry.journal import Span, number

Rows = tuple[npt.NDArray[np.float32], npt.NDArray[np.int16]]
"""A block: x float32 [n, *input_shape] and y int16 one-hot [n, classes]."""


class Block(NamedTuple):
    """Rows that a process trains on as a whole: what :meth:`UnitWorker.feed` takes.

    Attributes
    ----------
    key : names the block in the process's buffer cache.
    read : makes the block if it is not cached.
    rows : how many of its rows count, from the first on.
    """

    key: Hashable
    read: Callable[[], Rows]
    rows: int


Report = dict[str, Any]
"""JSON-able answer of a step: ``spans`` as [phase, start_ns, end_ns, bytes], ``counters``, the
``device`` that this process trains on (its GPU's name, or ``CPU``) and, at the end of a unit,
``rows``, ``loss`` (mean per row, as the journal's ``number`` writes it), ``metrics`` (means) and
``ranks`` (see :mod:`experiments.models.measures`). A unit of training that ended with evaluations
has these four of each of them under ``evaluations``, by kind."""

TRAIN, TRAINING_PASS, VALID = "train", "training_pass", "valid"
"""Kinds of unit: training, evaluation on the training set, and on the validation set."""

SPLIT_OF: Mapping[str, Literal["train", "valid"]] = {
    TRAIN: "train",
    TRAINING_PASS: "train",
    VALID: "valid",
}
"""The rows that each kind of unit reads."""

_OUTCOME = ("rows", "loss", "metrics", "ranks")


class UnitWorker:
    """One per process; holds the session and what the running unit has counted so far."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._clock = UnitClock()
        self._before = (0, 0)
        self._job: Mapping[str, Any] = {}

    def warm(self, job: Mapping[str, Any]) -> Report:
        """Import the framework, build and trace the model's steps. Does nothing the second time."""
        self._clock.begin()
        self.session.warm(job["model"])
        self._clock.lap("init")
        return self._report()

    def create(self, job: Mapping[str, Any], save: Callable[[bytes], None]) -> Report:
        """Save the initial state that ``job['seed']`` gives."""
        self._clock.begin()
        save(self.session.initial_state(job["model"], job["seed"]))
        self._clock.lap("init")
        return self._report()

    def load(self, job: Mapping[str, Any], read: Callable[[], bytes | memoryview]) -> Report:
        """Read a state and set the model to it, which a process that is new builds first."""
        self._clock.begin()
        self._before = (self.session.buffers.hits, self.session.buffers.misses)
        self._job = job
        if job.get("rebuild"):
            self.session.rebuild(job["model"])
            self._clock.lap("rebuild")
        elif self.session.warm(job["model"]):
            self._clock.lap("init")
        state = read()
        self.session.load(job["model"], state)
        self._clock.lap("model_transmission", len(state))
        return self._report()

    def load_file(self, job: Mapping[str, Any], path: Path) -> Report:
        """Set the model to the state in a file.

        Raises
        ------
        DataError
            The file is missing, damaged or another model's; the model is as it was.
        """
        try:
            return self.load(job, path.read_bytes)
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
        except DamagedState as error:
            reason = str(error)
        raise DataError(
            f"{path}: {reason}; put back a good copy of the file and give the same command again, "
            "or start over with --fresh"
        )

    def dump(self, save: Callable[[bytes], None]) -> Report:
        """Save the model's state."""
        self._clock.begin()
        state = self.session.dump(optimizer=not self._job.get("reset_optimizer"))
        save(state)
        self._clock.lap("model_transmission", len(state))
        return self._report()

    def start(self, kind: str, job: Mapping[str, Any], fetching_ns: int = 0) -> None:
        """Begin a unit of a kind on the loaded model.

        Parameters
        ----------
        fetching_ns : how long the first block has been on its way already, in nanoseconds.
        """
        self._clock.begin(fetching_ns)
        self._clock.lap("data_transmission")
        if kind == TRAIN:
            self.session.train_start(job["model"], job["seed"])
        else:
            self.session.evaluate_start(job["model"])
        self._clock.lap(kind)

    def feed(
        self,
        kind: str,
        key: Hashable,
        read: Callable[[], Rows] | None,
        rows: int | None = None,
    ) -> int:
        """Train or evaluate one block; the number of its rows that counted.

        Parameters
        ----------
        key : names the block in this process's buffer cache.
        read : makes the block if it is not cached; None where the caller knows that it is.
        rows : how many of its rows count, from the first on; None for all.
        """
        block = self.session.buffers.get(key)
        if block is None:
            if read is None:
                raise KeyError(f"block {key!r} is not in the buffer cache")
            block = read()
            self.session.buffers.put(key, *block)
            self._clock.lap("data_transmission", block[0].nbytes + block[1].nbytes)
        else:
            self._clock.lap("data_transmission")
        x, y = block[0][:rows], block[1][:rows]
        if kind == TRAIN:
            self.session.train_rows(x, y)
        else:
            self.session.evaluate_rows(x, y)
        self._clock.lap(kind)
        return len(y)

    def finish(self, kind: str) -> Report:
        """End the unit: rows, mean loss and, for an evaluation, the errors."""
        if kind == TRAIN:
            trained = self.session.train_finish()
            rows, loss = trained.rows, trained.loss_sum
            found: Report = {"metrics": {}, "ranks": {}}
        else:
            counts = self.session.evaluate_finish()
            rows, loss = counts.rows, counts.loss_sum
            errors = {
                "top1_error": 1 - counts.top1_correct / rows,
                "top5_error": 1 - counts.top5_correct / rows,
            }
            found = {"metrics": errors, "ranks": counts.ranks}
        self._clock.lap(kind)
        return {**self._report(), "rows": rows, "loss": number(loss / rows), **found}

    def _report(self) -> Report:
        spans = [[s.phase, s.start_ns, s.end_ns, s.bytes] for s in self._clock.spans()]
        hits, misses = self._before
        counters = {
            "buffer_hits": self.session.buffers.hits - hits,
            "buffer_misses": self.session.buffers.misses - misses,
            "builds": self.session.builds,
            "traces": self.session.traces,
            **self.session.emulated(),
        }
        return {"spans": spans, "counters": counters, "device": frameworks.device()}


def merge(reports: Sequence[Report]) -> Report:
    """The reports of one unit's steps as one: all spans, the last counters and outcome."""
    whole: Report = {}
    for report in reports:
        whole.update(report)
    whole["spans"] = [span for report in reports for span in report["spans"]]
    return whole


def with_evaluations(trained: Sequence[Report], found: Mapping[str, Report]) -> Report:
    """The report of a unit of training that ended with evaluations.

    Parameters
    ----------
    trained : of its steps up to the state that it leaves.
    found : of each evaluation, by kind, in order.
    """
    whole = merge(trained)
    for report in found.values():
        whole["spans"] = [*whole["spans"], *report["spans"]]
        whole["counters"] = report["counters"]
    outcomes = {kind: {n: report[n] for n in _OUTCOME} for kind, report in found.items()}
    return {**whole, "evaluations": outcomes} if outcomes else whole


def spans_of(report: Report) -> tuple[Span, ...]:
    """The spans of a report as values."""
    return tuple(Span(*span) for span in report["spans"])
