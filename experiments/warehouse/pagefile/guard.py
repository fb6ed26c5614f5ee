"""Keeps a read honest while the server goes on: what was read had not changed since a checkpoint.

A checkpoint writes every page as it was at its *redo* position in the log. A page that is changed
later gets a later ``pd_lsn`` (``bufpage.h``), so pages whose position is not beyond *redo* after
they were read were read whole and as they were. Hint bits alone do not move it, and a page with one
more or less means the same.
"""

from __future__ import annotations

from typing import Any

import psycopg2

from experiments.warehouse.failures import translated
from experiments.warehouse.pagefile.catalog import Connection
from experiments.warehouse.pagefile.relation import Ranges
from experiments.warehouse.pagefile.snapshot import Snapshot

CHECKPOINT_RECORD = 120 + 40
"""Most bytes of log that a checkpoint adds by itself (``wal_level = minimal``), page header
included. Any other record that changes a page would make it more."""


class Guard:
    """The transaction whose snapshot counts, and the last checkpoint in it."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._redo = self._after = 0
        self.snapshot = Snapshot.parse(self._one("SELECT pg_current_snapshot()::text"))
        self.renew()

    def renew(self) -> None:
        """Have everything that has changed so far written to the files."""
        self._one("CHECKPOINT; SELECT 1")
        self._redo = self._one("SELECT (redo_lsn - '0/0')::bigint FROM pg_control_checkpoint()")
        self._after = self._position()

    def settled(self, ranges: Ranges) -> bool:
        """Were these blocks, read since the last checkpoint, as that checkpoint left them?"""
        quiet = self._position() == self._after <= self._redo + CHECKPOINT_RECORD
        return quiet or all(
            file.newest(first, count) <= self._redo for file, first, count in ranges
        )

    def rows_between(self, table: str, first: int, stop: int) -> int:
        """How many rows the snapshot sees in blocks ``first`` to ``stop`` of a table."""
        rows: int = self._one(
            f"SELECT count(*) FROM ONLY {table} WHERE ctid >= '({first},0)' AND ctid < '({stop},0)'"
        )
        return rows

    def updater(self, multi: int) -> int | None:
        """The transaction that updates or deletes in a multixact; None if the server knows none."""
        try:
            xid: int = self._one(
                "SELECT coalesce((SELECT xid::text::bigint FROM pg_get_multixact_members"
                f"('{multi}') WHERE mode IN ('nokeyupd', 'upd')), 0)"
            )
        except psycopg2.Error:
            return None
        return xid

    def _position(self) -> int:
        position: int = self._one("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        return position

    def _one(self, statement: str) -> Any:
        with translated(self._name), self._connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0]
