"""What ``initialize``, ``fit``, ``score`` and ``average`` do on a segment.

The paper's statement trains one model per segment, in all segments at once, by an aggregate. On its
first buffer the aggregate pulls the model's state from the segment that holds it, and its final
function writes the next version and the visit on its own segment: what counts as done is what this
transaction committed.

A *job* is a row of the schedule: a worker's job (``model``, ``seed``), ``table`` (names the rows
for the buffer cache), ``segment`` (the key of this one), ``mst_key``, ``epoch``, ``version`` and
``holder`` (the state to start from and the segment that has it), ``target`` (the version of the
state that is written), ``kind`` (of an evaluation) and ``evaluations`` (after training: of each
kind the name of its rows).

The code keeps to Python 3.9: Greenplum's PL/Python is that old.
"""

from __future__ import annotations

import functools
import json
import time
from typing import Any

from experiments.models.averaging import Average
from experiments.models.worker import SPLIT_OF, TRAIN, Report, Rows, merge, with_evaluations
from experiments.telemetry.clock import UnitClock
from experiments.warehouse.backend import decode, feed, job_of, since_statement_ns, this_backend
from experiments.warehouse.states import StateTable

MERGE = "merge"

PACKED = {kind: f"{split}_packed" for kind, split in SPLIT_OF.items()}
"""The table that each kind of unit reads."""


class _Segment:
    """State of this process beyond the worker's: the model table, and the unit that is running."""

    def __init__(self) -> None:
        self.states = StateTable()
        self.reports: list[Report] = []
        self.job: dict[str, Any] = {}
        self._free_ns = 0

    def begin(self, kind: str, job: dict[str, Any]) -> None:
        """Set the model to the job's state and begin the unit."""
        worker = this_backend().worker
        now = time.monotonic_ns()
        asked = max(self._free_ns, now - since_statement_ns())
        self.job = job
        self.reports = [
            {"spans": [["data_transmission", asked, now, 0]]},
            worker.load(job, lambda: self.read(job["holder"], job["version"])),
        ]
        worker.start(kind, job)

    def read(self, holder: int, version: int) -> bytes | memoryview:
        """A version of the running unit's model."""
        return self.states.read(self.job["segment"], holder, self.job["mst_key"], version)

    def write(self, state: bytes) -> None:
        """Keep the state that the running unit leaves."""
        self.states.write(self.job["segment"], self.job["mst_key"], self.job["target"], state)

    def end(self, kind: str, version: int) -> str:
        """Note the visit; the unit's report."""
        import plpy

        text = json.dumps(merge(self.reports))
        plan = plpy.prepare(
            "INSERT INTO public.madlib_visit VALUES ($1, $2, $3, $4, $5, $6)",
            ["integer"] * 4 + ["text", "json"],
        )
        job = self.job
        plan.execute([job["segment"], job["mst_key"], version, job["epoch"], kind, text])
        self._free_ns = time.monotonic_ns()
        return text


@functools.lru_cache(maxsize=1)
def _segment() -> _Segment:
    return _Segment()


def initialize(job: str) -> str:
    """Keep the initial state that ``job['seed']`` gives as version 0, on this segment."""
    segment = _segment()
    segment.job = {**job_of(job), "target": 0}
    return json.dumps(this_backend().worker.create(segment.job, segment.write))


def fit_transition(state: int | None, job: str, buffer_id: int, *values: Any) -> int:
    """One buffer of a unit of training; ``values`` as the backend's ``feed`` takes them."""
    return _transition(TRAIN, state, job, buffer_id, *values)


def fit_final(rows: int | None) -> str | None:
    """End of a unit of training: the next version and the visit are written."""
    if rows is None:
        return None
    segment, worker = _segment(), this_backend().worker
    segment.reports.append(worker.finish(TRAIN))
    segment.reports.append(worker.dump(segment.write))
    found = {kind: _evaluate(kind, table) for kind, table in segment.job["evaluations"].items()}
    segment.reports = [with_evaluations(segment.reports, found)]
    return segment.end(TRAIN, segment.job["target"])


def _evaluate(kind: str, table: str) -> Report:
    """Evaluate the loaded model on this segment's rows."""
    import plpy

    worker, packed = this_backend().worker, PACKED[kind]
    worker.start(kind, _segment().job)
    for row in plpy.execute(f"SELECT buffer_id FROM public.{packed} ORDER BY buffer_id"):
        read = functools.partial(_read_buffer, packed, row["buffer_id"])
        worker.feed(kind, (table, row["buffer_id"]), read)
    return worker.finish(kind)


def _read_buffer(packed: str, buffer_id: int) -> Rows:
    import plpy

    (row,) = plpy.execute(
        "SELECT independent_var AS x, dependent_var AS y, independent_var_shape AS x_shape, "
        f"dependent_var_shape AS y_shape FROM public.{packed} WHERE buffer_id = {int(buffer_id)}"
    )
    return decode(row["x"], row["y"], row["x_shape"], row["y_shape"])


def score_transition(state: int | None, job: str, buffer_id: int, *values: Any) -> int:
    """One buffer of an evaluation; ``values`` as the backend's ``feed`` takes them."""
    return _transition(job_of(job)["kind"], state, job, buffer_id, *values)


def score_final(rows: int | None) -> str | None:
    """End of an evaluation: the visit is written."""
    if rows is None:
        return None
    segment = _segment()
    kind = segment.job["kind"]
    segment.reports.append(this_backend().worker.finish(kind))
    return segment.end(kind, segment.job["version"])


def average(job: str) -> str:
    """Keep the average of the states that the segments learned as version ``job['target']``.

    ``job['parts']`` lists each segment's key and how many rows it trained on; each holds version
    ``job['version']`` of its own.
    """
    segment = _segment()
    segment.job = job_of(job)
    clock = UnitClock()
    mean = Average()
    for holder, rows in segment.job["parts"]:
        state = segment.read(holder, segment.job["version"])
        clock.lap("model_transmission", len(state))
        mean.add(state, rows)
        clock.lap("merge")
    state = mean.state()
    clock.lap("merge")
    segment.write(state)
    clock.lap("model_transmission", len(state))
    spans = [[span.phase, span.start_ns, span.end_ns, span.bytes] for span in clock.spans()]
    segment.reports = [{"spans": spans}]
    return segment.end(MERGE, segment.job["target"])


def _transition(kind: str, state: int | None, job: str, buffer_id: int, *values: Any) -> int:
    """Feed one buffer; the values are null when the view found it in this backend."""
    unit = job_of(job)
    if state is None:
        _segment().begin(kind, unit)
    return (state or 0) + feed(kind, unit, buffer_id, *values)
