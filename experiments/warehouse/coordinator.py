"""The statements of the procedure's loop, as its session on the coordinator runs them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.errors import DataError
from experiments.models.worker import Report
from experiments.warehouse.dialect import SCHEDULE_TABLE, Dialect, PostgresDialect
from experiments.warehouse.record import Record, visit_of
from experiments.warehouse.unit_tables import MODEL_TABLE, VISIT_TABLE

TAG = "cerebro-ds "
"""What the notices begin with that are for whoever called the procedure; the rest is JSON."""

Job = Mapping[str, Any]
"""A row of the schedule; its ``segment`` and ``mst_key`` say whose."""


class Coordinator:
    """A session inside the coordinator.

    Parameters
    ----------
    plpy : PL/Python's module of that name.
    """

    def __init__(self, plpy: Any, dialect: Dialect | None = None) -> None:
        self._plpy = plpy
        self._dialect = dialect or PostgresDialect()
        self._plans: dict[str, Any] = {}

    def tell(self, event: str, **detail: Any) -> None:
        """Let the caller know at once; ``at`` is this machine's monotonic clock."""
        message = {"event": event, "at": time.monotonic_ns(), **detail}
        self._plpy.info(TAG + json.dumps(message, separators=(",", ":")))

    def commit(self) -> None:
        """Commit, here and on all segments, and begin the next transaction."""
        self._plpy.commit()

    def carry_out(self, function: str, view: str | None, jobs: Sequence[Job]) -> list[Report]:
        """Have all segments do their jobs at once, by one statement; a report per job.

        Parameters
        ----------
        view : has the rows of an aggregate that needs some.

        Raises
        ------
        PlanError
            The statement would move rows; it is not run.
        DataError
            A segment did nothing, which is what happens where it has no rows.
        """
        self._schedule(jobs)
        plan = self._plan(function, view)
        reports = {
            (row["__dist_key__"], row["mst_key"]): json.loads(row["report"])
            for row in self._plpy.execute(plan)
        }
        for job in jobs:
            if (job["segment"], job["mst_key"]) not in reports:
                raise DataError(
                    f"segment {job['segment']} has no rows for {function}: take more rows or "
                    "fewer workers"
                )
        return [reports[job["segment"], job["mst_key"]] for job in jobs]

    def record(self, models: int) -> Record:
        """What is committed; incomplete states do not count."""
        states = self._plpy.execute(
            "SELECT __dist_key__, mst_key, version, parts, count(*) AS found "
            f"FROM {MODEL_TABLE} GROUP BY __dist_key__, mst_key, version, parts"
        )
        visits = self._plpy.execute(
            f"SELECT __dist_key__, mst_key, version, epoch, kind, report FROM {VISIT_TABLE}"
        )
        return Record(
            (
                (row["__dist_key__"], row["mst_key"], row["version"])
                for row in states
                if row["found"] == row["parts"]
            ),
            (visit_of(row, json.loads(row["report"])) for row in visits),
            models,
        )

    def discard(self, below: Mapping[int, int]) -> None:
        """Remove each model's versions below one, wherever they are."""
        if below:
            condition = " OR ".join(
                f"(mst_key = {model} AND version < {version})" for model, version in below.items()
            )
            self._plpy.execute(f"DELETE FROM {MODEL_TABLE} WHERE {condition}")

    def _schedule(self, jobs: Iterable[Job]) -> None:
        self._plpy.execute(f"DELETE FROM {SCHEDULE_TABLE}")
        rows = [[job["segment"], job["mst_key"], job] for job in jobs]
        insert = self._prepared(
            f"INSERT INTO {SCHEDULE_TABLE} SELECT (r->>0)::integer, (r->>1)::integer, r->2 "
            "FROM json_array_elements($1) r",
            ("json",),
        )
        self._plpy.execute(insert, [json.dumps(rows, separators=(",", ":"))])

    def _plan(self, function: str, view: str | None) -> Any:
        statement = (
            self._dialect.scheduled(function)
            if view is None
            else self._dialect.scheduled_scan(function, view)
        )
        if statement not in self._plans:
            (row,) = self._plpy.execute(f"EXPLAIN (FORMAT JSON) {statement}")
            self._dialect.check_in_place(json.loads(row["QUERY PLAN"]), statement)
        return self._prepared(statement)

    def _prepared(self, statement: str, types: Sequence[str] = ()) -> Any:
        if statement not in self._plans:
            self._plans[statement] = self._plpy.prepare(statement, list(types))
        return self._plans[statement]
