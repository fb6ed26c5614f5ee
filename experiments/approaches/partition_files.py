"""Units on partitions that lie in files: what a worker process does outside the database.

These functions run inside worker processes (Dask's, and whatever reads partitions as arrays). One
:class:`~experiments.models.worker.UnitWorker` lives as long as the process.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.datasets import Partition, PreparedDataset, one_hot
from experiments.files import write_atomically
from experiments.models.session import Session
from experiments.models.worker import TRAIN, Report, Rows, UnitWorker, merge
from experiments.specs.topology import CACHE_BYTES, CACHE_BYTES_VARIABLE

BlockReader = Callable[[], Rows]

_cancelled = threading.Event()


class Cancelled(Exception):
    """The driver asked for the unit to stop."""


@functools.lru_cache(maxsize=1)
def _worker() -> UnitWorker:
    session = Session(int(os.environ.get(CACHE_BYTES_VARIABLE, str(CACHE_BYTES))))
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
    return _worker().warm(job)


def create(job: Mapping[str, Any], target: str) -> Report:
    """Write an initial state to a file."""
    return _worker().create(job, lambda state: write_atomically(Path(target), state))


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
    return carry_out(kind, job, source, target, _blocks(kind, dataset, partition, block_bytes))


def carry_out(
    kind: str,
    job: Mapping[str, Any],
    source: str,
    target: str | None,
    blocks: Iterable[tuple[Hashable, BlockReader]],
) -> Report:
    """Load a state, train or evaluate on some blocks, dump the state.

    Parameters
    ----------
    source, target : files of the state before and after; an evaluation has no target.
    blocks : each by its key in this process's buffer cache, and how to read it.
    """
    worker = _worker()
    reports = [worker.load_file(job, Path(source))]
    worker.start(kind, job)
    for key, read in blocks:
        worker.feed(kind, key, read)
    reports.append(worker.finish(kind))
    if target is not None:
        reports.append(worker.dump(lambda state: write_atomically(Path(target), state)))
    return merge(reports)


def _blocks(
    kind: str, dataset: str, partition: int, block_bytes: int
) -> Iterator[tuple[Hashable, BlockReader]]:
    data = _open(dataset)
    part = data.partition("train" if kind == TRAIN else "valid", partition)
    block = max(1, block_bytes // part.x[0].nbytes)
    for start in range(0, len(part.y), block):
        key = (dataset, kind, partition, start)
        yield key, functools.partial(_read, part, start, start + block, data.classes)


@functools.lru_cache(maxsize=4)
def _open(dataset: str) -> PreparedDataset:
    return PreparedDataset.open(Path(dataset))


def _read(part: Partition, start: int, stop: int, classes: int) -> Rows:
    return np.array(part.x[start:stop]), one_hot(np.array(part.y[start:stop]), classes)
