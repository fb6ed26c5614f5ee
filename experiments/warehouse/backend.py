"""What the extension's functions do, inside a database backend.

One backend serves one session and holds one :class:`~experiments.models.worker.UnitWorker`, so
compiled models and decoded buffers live as long as the session. Three statements train a unit:
*load* (state in), *train* (an aggregate over the packed rows: loss and row count out), *dump*
(state out). The model is never an argument or the state of the per-buffer transition: passing
32 MB per row costs 100 ms, keeping it 2 ms (MADlib passes it).

Every function takes a *job* as JSON: a worker's (``model`` and ``seed``) plus ``table`` (names the
rows for the buffer cache; changes when the table's content does), ``kind`` (of an evaluation) and
``state`` (a file below the model store). Answers are a worker's reports as JSON.

The code keeps to Python 3.9: Greenplum's PL/Python is that old.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.files import write_atomically
from experiments.models.session import Session
from experiments.models.worker import TRAIN, VALID, Rows, UnitWorker
from experiments.specs.topology import CACHE_BYTES, CACHE_BYTES_VARIABLE
from experiments.warehouse.server import MODEL_STORE_VARIABLE
from experiments.warehouse.states import PART_BYTES

INTERRUPT_SECONDS = 0.2
"""How often a long loop asks the server whether the query was cancelled."""


class Backend:
    """State of this process."""

    def __init__(self) -> None:
        session = Session(int(os.environ.get(CACHE_BYTES_VARIABLE, str(CACHE_BYTES))))
        session.between_batches = self._check_interrupt
        self.worker = UnitWorker(session)
        self.parts: list[bytes] = []
        self.evaluating = VALID
        self._checked = 0.0

    def _check_interrupt(self) -> None:
        """A cancel or a statement timeout reaches Python only through a call into the server."""
        now = time.monotonic()
        if now - self._checked >= INTERRUPT_SECONDS:
            self._checked = now
            import plpy

            plpy.execute("select 1")


@functools.lru_cache(maxsize=1)
def this_backend() -> Backend:
    """The state of the process that this is."""
    return Backend()


@functools.lru_cache(maxsize=256)
def job_of(text: str) -> dict[str, Any]:
    """A job as the extension's functions get it, parsed once."""
    job: dict[str, Any] = json.loads(text)
    return job


def cached(job: str, buffer_id: int) -> bool:
    """Whether the decoded buffer is in this backend, so that the server need not read it."""
    return (job_of(job)["table"], buffer_id) in this_backend().worker.session.buffers


def warm(job: str) -> str:
    """Import the framework, build and trace the model's steps; idempotent."""
    return json.dumps(this_backend().worker.warm(job_of(job)))


def create(job: str) -> str:
    """Write the initial state that ``job['seed']`` gives to the file ``job['state']``."""
    path = _store_path(job)
    return json.dumps(
        this_backend().worker.create(job_of(job), lambda state: write_atomically(path, state))
    )


def load_file(job: str) -> str:
    """Set the model to the state in the file ``job['state']``."""
    return json.dumps(this_backend().worker.load_file(job_of(job), _store_path(job)))


def dump_file(job: str) -> str:
    """Write the model's state to the file ``job['state']``, whole or not at all."""
    path = _store_path(job)
    return json.dumps(this_backend().worker.dump(lambda state: write_atomically(path, state)))


def load_part(job: str, part: int, parts: int, data: bytes) -> str:
    """One row of a state that comes in ``parts`` rows in order; the last one sets the model."""
    backend = this_backend()
    if part == 0:
        backend.parts = []
    if part != len(backend.parts):
        raise ValueError(f"state part {part} of {parts} came where {len(backend.parts)} was due")
    backend.parts.append(data)
    if len(backend.parts) < parts:
        return json.dumps({"parts": len(backend.parts)})
    pieces, backend.parts = backend.parts, []
    return json.dumps(backend.worker.load(job_of(job), lambda: b"".join(pieces)))


def dump_parts(job: str) -> Iterator[tuple[int, int, bytes]]:
    """The model's state in rows of at most ``job['part_bytes']`` (default 16 MB)."""
    size = int(job_of(job).get("part_bytes", PART_BYTES))
    saved: list[bytes] = []
    this_backend().worker.dump(saved.append)
    state = memoryview(saved[0])
    parts = -(-len(state) // size)
    for part in range(parts):
        yield part, parts, bytes(state[part * size : (part + 1) * size])


def train_transition(state: int | None, job: str, buffer_id: int, *values: Any) -> int:
    """One buffer of one unit; ``values`` as :func:`decode` takes them."""
    return _transition(TRAIN, state, job, buffer_id, *values)


def train_final(rows: int | None) -> str | None:
    """End of the unit: rows and mean loss; null for a table without rows."""
    return None if rows is None else json.dumps(this_backend().worker.finish(TRAIN))


def evaluate_transition(state: int | None, job: str, buffer_id: int, *values: Any) -> int:
    """One buffer of an evaluation; ``values`` as :func:`decode` takes them."""
    this_backend().evaluating = kind = job_of(job).get("kind", VALID)
    return _transition(kind, state, job, buffer_id, *values)


def evaluate_final(rows: int | None) -> str | None:
    """End of an evaluation: rows, mean loss, top-1 and top-5 error; null without rows."""
    backend = this_backend()
    return None if rows is None else json.dumps(backend.worker.finish(backend.evaluating))


def _transition(
    kind: str,
    state: int | None,
    job: str,
    buffer_id: int,
    x: bytes | None,
    y: bytes | None,
    x_shape: list[int],
    y_shape: list[int],
) -> int:
    """Feed one buffer; ``x`` and ``y`` are None when :func:`cached` said that it is here."""
    unit = job_of(job)
    if state is None:
        this_backend().worker.start(kind, unit, since_statement_ns())
    return (state or 0) + feed(kind, unit, buffer_id, x, y, x_shape, y_shape)


def feed(
    kind: str,
    unit: Mapping[str, Any],
    buffer_id: int,
    x: bytes | None,
    y: bytes | None,
    x_shape: list[int],
    y_shape: list[int],
) -> int:
    """Train or evaluate one buffer of the running unit; its number of rows."""
    rows = None if x is None or y is None else functools.partial(decode, x, y, x_shape, y_shape)
    return this_backend().worker.feed(kind, (unit["table"], buffer_id), rows)


def since_statement_ns() -> int:
    """How long the running statement has been scanning and fetching, in nanoseconds."""
    import plpy

    row = plpy.execute("select extract(epoch from clock_timestamp() - statement_timestamp()) s")[0]
    return int(float(row["s"]) * 1e9)


def decode(x: bytes, y: bytes, x_shape: list[int], y_shape: list[int]) -> Rows:
    """The packed table's bytes as arrays, without a copy."""
    return (
        np.frombuffer(x, dtype="<f4").reshape(x_shape),
        np.frombuffer(y, dtype="<i2").reshape(y_shape),
    )


def _store_path(job: str) -> Path:
    """The state's file; SQL may not name files outside the model store."""
    root = Path(os.environ[MODEL_STORE_VARIABLE]).resolve()
    path = (root / str(job_of(job)["state"])).resolve()
    if root not in path.parents:
        raise ValueError(f"{path} is outside the model store {root}")
    return path
