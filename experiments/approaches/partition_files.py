"""Units outside the database: what a worker process does with its shard.

These functions run inside worker processes (Dask's, and whatever has rows as arrays). One
:class:`~experiments.models.worker.UnitWorker` lives as long as the process, on the framework that
its jobs name under ``framework`` (TensorFlow where they name none), and so do the rows that it
keeps.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.approaches.shard import Shard, laps
from experiments.errors import NotBegun, ServerDied
from experiments.files import write_atomically
from experiments.models import rank
from experiments.models.buffers import BufferCache
from experiments.models.process_group import Group
from experiments.models.session import Session
from experiments.models.worker import TRAIN, Report, UnitWorker, merge, with_evaluations
from experiments.specs.topology import CACHE_BYTES, CACHE_BYTES_VARIABLE

_cancelled = threading.Event()


class Cancelled(Exception):
    """The driver asked for the unit to stop."""


def _worker(job: Mapping[str, Any]) -> UnitWorker:
    return _worker_on(job.get("framework", "tensorflow"))


@functools.lru_cache(maxsize=1)
def _cache() -> BufferCache:
    return BufferCache(int(os.environ.get(CACHE_BYTES_VARIABLE, str(CACHE_BYTES))))


@functools.lru_cache(maxsize=1)
def _worker_on(framework: str) -> UnitWorker:
    session = Session(_cache(), framework)
    session.between_batches = _check_cancelled
    return UnitWorker(session)


def _check_cancelled() -> None:
    if _cancelled.is_set():
        raise Cancelled


def cancel() -> None:
    """Stop the running unit before its next batch; called in another thread of this process."""
    _cancelled.set()


def load(shard: Shard) -> Report:
    """Import what reading a shard takes."""
    return shard.load()


def ready(shard: Shard) -> Report:
    """Bring a shard into this process, as far as it is to be there before a unit."""
    return shard.ready(_cache(), _check_cancelled)


def warm(job: Mapping[str, Any], shard: Shard) -> Report:
    """Have the shard ready and the job's model built in this process."""
    return merge([ready(shard), _worker(job).warm(job)])


def create(job: Mapping[str, Any], target: str) -> Report:
    """Write an initial state to a file."""
    return _worker(job).create(job, lambda state: write_atomically(Path(target), state))


def run_unit(
    kind: str,
    job: Mapping[str, Any],
    shard: Shard,
    source: str,
    target: str | None,
) -> Report:
    """Load a state, train or evaluate one shard, dump the state; then evaluate it if told so.

    Parameters
    ----------
    source, target : files of the state before and after; an evaluation has no target.

    Raises
    ------
    NotBegun
        What the rows come from is gone, and nothing was done yet.
    ServerDied
        It went away in the middle.
    """
    worker = _worker(job)
    try:
        reports = [ready(shard)]
    except ServerDied as died:
        raise NotBegun(str(died)) from died
    reports.append(worker.load_file(job, Path(source)))
    reports.append(_scan(worker, kind, job, shard))
    if target is not None:
        reports.append(worker.dump(lambda state: write_atomically(Path(target), state)))
    evaluations = job.get("evaluations", ())
    return with_evaluations(reports, {k: _scan(worker, k, job, shard) for k in evaluations})


def _scan(worker: UnitWorker, kind: str, job: Mapping[str, Any], shard: Shard) -> Report:
    """Train or evaluate the loaded model on one shard."""
    worker.start(kind, job)
    with contextlib.closing(shard.blocks(kind)) as blocks:
        for block in blocks:
            worker.feed(kind, *block)
    return worker.finish(kind)


def train_rank(
    job: Mapping[str, Any],
    shard: Shard,
    group: Group,
    batch: int,
    rows: Sequence[int],
    source: str,
    target: str | None,
) -> Report:
    """Train for an epoch as one rank of a group; worker i is rank i.

    Parameters and errors as :func:`run_unit` and :func:`experiments.models.rank.train`.
    """
    reports = [ready(shard)]
    reports.append(
        rank.train(
            _worker(job),
            job,
            group,
            batch,
            Path(source),
            functools.partial(laps, shard, TRAIN),
            rows,
            functools.partial(write_atomically, Path(target)) if target is not None else None,
        )
    )
    return merge(reports)
