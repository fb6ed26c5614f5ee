"""What runs in Spark's executors for Hyperopt-Spark: a trial, from its first unit to its last.

A trial is one model config on the whole data set. Its units are written to a log of its own as they
go, which the driver reads, so that the run's journal knows of an epoch before the trial is over.
"""

from __future__ import annotations

import fcntl
import functools
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from experiments.approaches import partition_files
from experiments.approaches.answers import Answer, answer
from experiments.approaches.base import job
from experiments.approaches.full_copy import FullCopy
from experiments.datasets import PreparedDataset
from experiments.errors import ServerDied
from experiments.models.worker import TRAIN, VALID, Report, merge
from experiments.mop.store import ModelStore
from experiments.mop.unit import Kind
from experiments.specs.emulation import EmulationSpec
from experiments.specs.model import ModelConfig, derive_seed
from experiments.telemetry.journal import Journal

CLAIM_SECONDS = 60.0
_LOOK_SECONDS = 0.05


class Point(NamedTuple):
    """What hyperopt hands a trial: a model config, and which of its units are to be done.

    Attributes
    ----------
    trial : names the trial's log; another one each time the same is tried again.
    done : units of the model that are finished, of :attr:`Work.kinds` an epoch.
    stop : epoch to train to.
    """

    trial: str
    model: int
    done: int
    stop: int
    architecture: str
    learning_rate: float
    regularization: float
    batch_size: int

    @property
    def config(self) -> ModelConfig:
        """The model config alone."""
        return ModelConfig(*self[4:])


@dataclass(frozen=True)
class Work:
    """What all trials of a run share.

    Attributes
    ----------
    dataset, store : folders of the prepared data set and of the model store.
    copies : one for each worker.
    seed : of the run.
    ends_early : whether a model whose loss is not finite is trained no further.
    emulation : of the run.
    switches : what the run's protocol adds to every job.
    kinds : units of an epoch, in order.
    """

    run: str
    dataset: str
    store: str
    copies: tuple[FullCopy, ...]
    seed: int
    ends_early: bool
    emulation: EmulationSpec | None
    switches: Mapping[str, Any]
    kinds: tuple[Kind, ...]

    def log(self, trial: str) -> Path:
        """Where a trial's log lies; beside the states, where driver and executors can write."""
        return Path(self.store, f"trial-{trial}.jsonl")


def start(work: Work) -> tuple[int, Answer]:
    """Become a worker, and import what trials take; the worker's number."""
    import hyperopt.pyll  # noqa: F401

    worker = _claim(work.copies)
    return worker, answer(work.copies[worker].load)


def copy(work: Work) -> tuple[int, Answer]:
    """Have this worker's copy of the data set written."""
    worker = _claim(work.copies)
    return worker, answer(lambda: partition_files.ready(work.copies[worker]))


def warm(work: Work, jobs: list[dict[str, Any]]) -> tuple[int, Answer]:
    """Build the models of some jobs."""
    worker = _claim(work.copies)
    shard = work.copies[worker]
    return worker, answer(lambda: merge([partition_files.warm(each, shard) for each in jobs]))


def trial(work: Work, values: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperopt's objective: the validation loss after the last epoch, or what was raised.

    Raises
    ------
    ServerDied
        This process does not become a worker.
    """
    from hyperopt import STATUS_FAIL, STATUS_OK

    worker = _claim(work.copies)
    found = answer(lambda: _train(work, Point(**values), worker))
    if "error" in found:
        return {"status": STATUS_FAIL, **found}
    loss = float(found["report"]["loss"])
    return {"status": STATUS_OK, "loss": loss} if math.isfinite(loss) else {"status": STATUS_FAIL}


def _train(work: Work, point: Point, worker: int) -> Report:
    """Do a point's units, one after the other; the last one's report."""
    report = Report()
    keys: dict[str, Any] = {"worker": worker, "model": point.model}
    with Journal(work.log(point.trial), work.run) as log:
        units = len(work.kinds)
        for number in range(point.done, units * point.stop):
            epoch, kind = 1 + number // units, work.kinds[number % units]
            log.append("unit_started", **keys, epoch=epoch, kind=kind)
            start = time.monotonic()
            report = _unit(work, point, work.copies[worker], kind, epoch)
            seconds = time.monotonic() - start
            told: dict[str, Any] = {"version": epoch, "seconds": seconds, "report": report}
            log.append("unit_finished", **keys, epoch=epoch, kind=kind, **told)
            if kind == VALID and work.ends_early and not math.isfinite(float(report["loss"])):
                break
    return report


def _unit(work: Work, point: Point, shard: FullCopy, kind: str, epoch: int) -> Report:
    """Train a model for an epoch, or evaluate it; one that has no state yet gets its first."""
    store, model = ModelStore(Path(work.store)), point.model
    plain = job(point.config, PreparedDataset.open(Path(work.dataset)), work.emulation)
    whole = {**plain, **work.switches}
    reports = []
    source, target = store.path(model, epoch), None
    if kind == TRAIN:
        source, target = store.path(model, epoch - 1), str(source)
        if epoch == 1 and not store.has(model, 0):
            first = {**whole, "seed": derive_seed(work.seed, "initial", point.architecture)}
            reports.append(partition_files.create(first, str(source)))
    each = {**whole, "seed": derive_seed(work.seed, "unit", model, epoch)}
    reports.append(partition_files.run_unit(kind, each, shard, str(source), target))
    return merge(reports)


@functools.lru_cache(maxsize=1)
def _claim(copies: tuple[FullCopy, ...]) -> int:
    """The worker that this process is until it ends: of the first copy that nobody else holds.

    An executor whose process died gets another, and where executors run is the cluster's business;
    so who is which worker is settled by the copies' locks, which the system releases.

    Raises
    ------
    ServerDied
        All copies are held; a process that was to end has not.
    """
    deadline = time.monotonic() + CLAIM_SECONDS
    while time.monotonic() < deadline:
        for worker, each in enumerate(copies):
            Path(each.folder).mkdir(parents=True, exist_ok=True)
            lock = os.open(Path(each.folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                return worker
        time.sleep(_LOOK_SECONDS)
    raise ServerDied(f"all {len(copies)} copies of the data set are held by other processes")
