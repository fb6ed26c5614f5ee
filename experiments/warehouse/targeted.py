"""Targeted queries: statements that the planner dispatches to one segment alone.

Each segment has one session with the coordinator that stays open, so that its backend on the
segment keeps compiled models and decoded buffers. Model states lie in the model store, a folder
shared with the segments.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg2

from experiments.errors import NotBegun, ReproduceError, ServerDied
from experiments.models.worker import SPLIT_OF, TRAIN, Report, with_evaluations
from experiments.paths import state
from experiments.warehouse.cluster import Cluster, Connection
from experiments.warehouse.failures import translated

CONNECT_SECONDS = 5.0


class TargetedQueries:
    """One open session per segment; a call blocks until its answer is there.

    Calls for one segment come from one thread at a time.

    Every shape of statement is explained once per session before it runs, and refused if the
    coordinator would fetch the rows.
    """

    def __init__(self, cluster: Cluster, content: str) -> None:
        self._cluster = cluster
        self._content = content
        self._sessions: dict[int, Connection] = {}
        self._checked: dict[int, set[str]] = {}
        self._running: dict[int, Connection] = {}
        self._cancelled = False
        self._lock = threading.Lock()

    def warm(self, worker: int, job: Mapping[str, Any]) -> Report:
        return self._targeted(worker, "warm", job)

    def create(self, worker: int, job: Mapping[str, Any], target: str) -> Report:
        return self._targeted(worker, "create", {**job, "state": _in_store(target)})

    def unit(
        self, worker: int, kind: str, job: Mapping[str, Any], source: str, target: str | None
    ) -> Report:
        """A unit in three statements, and one for each evaluation after training.

        :class:`NotBegun` if the first finds its server dead.
        """
        try:
            loaded = self._targeted(worker, "load_file", {**job, "state": _in_store(source)})
        except ServerDied as died:
            raise NotBegun(str(died)) from died
        reports = [loaded, self._scan(worker, kind, job)]
        if target is not None:
            reports.append(self._targeted(worker, "dump_file", {"state": _in_store(target)}))
        evaluations = job.get("evaluations", ())
        return with_evaluations(reports, {k: self._scan(worker, k, job) for k in evaluations})

    def cancel(self) -> None:
        """Cancel every running query, and refuse those that would follow."""
        with self._lock:
            self._cancelled = True
            for session in self._running.values():
                with contextlib.suppress(psycopg2.Error):
                    session.cancel()

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()

    def _scan(self, worker: int, kind: str, job: Mapping[str, Any]) -> Report:
        """Train or evaluate the loaded model on a segment's rows."""
        function, table = ("train" if kind == TRAIN else "evaluate"), f"{SPLIT_OF[kind]}_packed"
        work = {**job, "kind": kind, "table": f"{table} {self._content}"}
        key = self._cluster.segments[worker].key
        statement = self._cluster.dialect.targeted_scan(function, work, table, key)
        return self._query(worker, f"{function} {table}", statement)

    def _targeted(self, worker: int, function: str, job: Mapping[str, Any]) -> Report:
        key = self._cluster.segments[worker].key
        return self._query(worker, function, self._cluster.dialect.targeted(function, job, key))

    def _query(self, worker: int, function: str, statement: str) -> Report:
        """Ask one segment.

        Raises
        ------
        ServerDied
            The coordinator or the segment is gone; the next query opens a new session.
        """
        try:
            with translated(f"segment {worker}"):
                return self._ask(worker, function, statement)
        except ServerDied:
            self._drop(worker)
            raise

    def _session(self, worker: int) -> Connection:
        if worker not in self._sessions:
            self._sessions[worker] = self._cluster.connect(patience=CONNECT_SECONDS)
        return self._sessions[worker]

    def _drop(self, worker: int) -> None:
        session = self._sessions.pop(worker, None)
        self._checked.pop(worker, None)
        if session is not None:
            with contextlib.suppress(psycopg2.Error):
                session.close()

    def _ask(self, worker: int, function: str, statement: str) -> Report:
        session = self._session(worker)
        with session.cursor() as cursor:
            if function not in self._checked.setdefault(worker, set()):
                cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}")
                self._cluster.dialect.check_in_place(cursor.fetchone()[0], statement)
                self._checked[worker].add(function)
            with self._lock:
                if self._cancelled:
                    raise ReproduceError(f"segment {worker}: {function} after a cancel")
                self._running[worker] = session
            try:
                cursor.execute(statement)
            finally:
                with self._lock:
                    self._running.pop(worker, None)
            rows = cursor.fetchall()
        if len(rows) != 1 or rows[0][1] is None:
            raise ReproduceError(f"segment {worker} has no rows for {function}: {statement[:200]}")
        report = rows[0][1]
        return json.loads(report) if isinstance(report, str) else dict(report)


def _in_store(path: str) -> str:
    """A state's file as the segments name it: relative to the folder of all stores."""
    return os.path.relpath(Path(path), state().stores)
