"""Units on partitions that lie in files: what a worker process does outside the database.

These functions run inside worker processes (Dask's, and whatever reads partitions as arrays). One
:class:`~experiments.models.worker.UnitWorker` lives as long as the process, on the framework that
its jobs name under ``framework`` (TensorFlow where they name none).
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.datasets import Partition, PreparedDataset, one_hot
from experiments.files import write_atomically
from experiments.models import rank
from experiments.models.process_group import Group
from experiments.models.session import Session
from experiments.models.worker import TRAIN, Report, Rows, UnitWorker, merge
from experiments.specs.topology import CACHE_BYTES, CACHE_BYTES_VARIABLE

_cancelled = threading.Event()


class Cancelled(Exception):
    """The driver asked for the unit to stop."""


def _worker(job: Mapping[str, Any]) -> UnitWorker:
    return _worker_on(job.get("framework", "tensorflow"))


@functools.lru_cache(maxsize=1)
def _worker_on(framework: str) -> UnitWorker:
    budget = int(os.environ.get(CACHE_BYTES_VARIABLE, str(CACHE_BYTES)))
    session = Session(budget, framework)
    session.between_batches = _check_cancelled
    return UnitWorker(session)


def _check_cancelled() -> None:
    if _cancelled.is_set():
        raise Cancelled


def cancel() -> None:
    """Stop the running unit before its next batch; called in another thread of this process."""
    _cancelled.set()


def warm(job: Mapping[str, Any]) -> Report:
    """Build the job's model in this process."""
    return _worker(job).warm(job)


def create(job: Mapping[str, Any], target: str) -> Report:
    """Write an initial state to a file."""
    return _worker(job).create(job, lambda state: write_atomically(Path(target), state))


def run_unit(
    kind: str,
    job: Mapping[str, Any],
    dataset: str,
    partition: int,
    source: str,
    target: str | None,
    block_bytes: int,
) -> Report:
    """Load a state, train or evaluate one partition, dump the state.

    Parameters
    ----------
    dataset : folder of the prepared data set.
    source, target : files of the state before and after; an evaluation has no target.
    block_bytes : of the rows that are read, and cached, at once.
    """
    worker = _worker(job)
    reports = [worker.load_file(job, Path(source))]
    worker.start(kind, job)
    for key, read in _blocks(dataset, kind, partition, block_bytes):
        worker.feed(kind, key, read)
    reports.append(worker.finish(kind))
    if target is not None:
        reports.append(worker.dump(lambda state: write_atomically(Path(target), state)))
    return merge(reports)


def train_rank(
    job: Mapping[str, Any],
    dataset: str,
    group: Group,
    batch: int,
    source: str,
    target: str | None,
    block_bytes: int,
) -> Report:
    """Train for an epoch as one rank of a group; worker i is rank i and holds partition i.

    Parameters and errors as :func:`run_unit` and :func:`experiments.models.rank.train`.
    """
    data = _open(dataset)
    return rank.train(
        _worker(job),
        job,
        group,
        batch,
        Path(source),
        functools.partial(_blocks, dataset, TRAIN, group.rank, block_bytes),
        [data.rows("train", each) for each in range(group.size)],
        functools.partial(write_atomically, Path(target)) if target is not None else None,
    )


def _blocks(
    dataset: str, kind: str, partition: int, block_bytes: int, rows: int | None = None
) -> rank.Blocks:
    """A partition's blocks; or as many rows as asked for, from its start again after its end."""
    data = _open(dataset)
    part = data.partition("train" if kind == TRAIN else "valid", partition)
    block = max(1, block_bytes // part.x[0].nbytes)
    for start, stop in _stretches(len(part.y), block, len(part.y) if rows is None else rows):
        key = (dataset, kind, partition, start, stop)
        yield key, functools.partial(_read, part, start, stop, data.classes)


def _stretches(length: int, block: int, rows: int) -> Iterator[tuple[int, int]]:
    """Starts and stops of blocks that make up so many rows, lap after lap of ``length`` rows."""
    for lap in range(0, rows, length):
        end = min(length, rows - lap)
        for start in range(0, end, block):
            yield start, min(start + block, end)


@functools.lru_cache(maxsize=4)
def _open(dataset: str) -> PreparedDataset:
    return PreparedDataset.open(Path(dataset))


def _read(part: Partition, start: int, stop: int, classes: int) -> Rows:
    return np.array(part.x[start:stop]), one_hot(np.array(part.y[start:stop]), classes)
