"""Model states in the model table: the segment's own by SPI, a peer's by binary COPY.

A hop is a pull: the segment that trains next asks the one that holds the state, over a connection
that stays open, and gets the rows as the server keeps them; nothing is turned into text and nothing
is written twice. Who the peers are stands in the segment's foreign servers and user mappings.

The code keeps to Python 3.9: Greenplum's PL/Python is that old.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import psycopg2

from experiments.datasets.copy_binary import FieldReader
from experiments.warehouse.dialect import server_name

PART_BYTES = 16 * 2**20
"""Largest piece of a state in one row: the wrapper doubles values, and 512 MB is its end."""

HOP_APPLICATION = "cerebro-ds-hop"
CONNECT_SECONDS = 10
LOST_CONNECTION = "08006"
"""SQLSTATE ``connection_failure``, which is how the wrapper calls it when a segment is gone."""


class StateMissing(Exception):
    """A segment does not hold the version of a model that it should."""


def fetch(connection: Any, model: int, version: int) -> bytes | memoryview:
    """A version of a model's state, over a psycopg2 connection to the segment that holds it.

    Raises
    ------
    StateMissing
        It is not there, or not all of it.
    """
    reader = FieldReader()
    with connection.cursor() as cursor:
        cursor.copy_expert(
            "COPY (SELECT part, parts, bytes FROM public.madlib_model "
            f"WHERE mst_key = {int(model)} AND version = {int(version)} ORDER BY part) "
            "TO STDOUT (FORMAT binary)",
            reader,
        )
    rows = [
        (int.from_bytes(part, "big"), int.from_bytes(parts, "big"), data)
        for part, parts, data in reader.rows()
    ]
    return _joined(model, version, rows)


class StateTable:
    """This segment's model table, and its peers'. One per backend; keeps connections open."""

    def __init__(self) -> None:
        self._peers: dict[int, Any] = {}

    def read(self, key: int, holder: int, model: int, version: int) -> bytes | memoryview:
        """A version that segment ``holder`` holds, read on segment ``key``."""
        if holder == key:
            return self._own(model, version)
        if holder in self._peers:
            # It may have been started again since the last hop, at another address.
            with contextlib.suppress(psycopg2.OperationalError, psycopg2.InterfaceError):
                return fetch(self._peers[holder], model, version)
            self._peers.pop(holder).close()
        try:
            self._peers[holder] = _connect(holder)
            return fetch(self._peers[holder], model, version)
        except psycopg2.OperationalError as error:
            import plpy

            plpy.error(
                f"segment {key} cannot reach segment {holder}: {error}", sqlstate=LOST_CONNECTION
            )
            raise

    def write(self, key: int, model: int, version: int, state: bytes) -> None:
        """Add a version to segment ``key``'s own table, in the running transaction."""
        import plpy

        plan = plpy.prepare(
            "INSERT INTO public.madlib_model VALUES ($1, $2, $3, $4, $5, $6)",
            ["integer"] * 5 + ["bytea"],
        )
        parts = -(-len(state) // PART_BYTES)
        for part in range(parts):
            piece = state[part * PART_BYTES : (part + 1) * PART_BYTES]
            plan.execute([key, model, version, part, parts, piece])

    def _own(self, model: int, version: int) -> bytes | memoryview:
        import plpy

        rows = plpy.execute(
            "SELECT part, parts, bytes FROM public.madlib_model "
            f"WHERE mst_key = {int(model)} AND version = {int(version)} ORDER BY part"
        )
        return _joined(model, version, [(row["part"], row["parts"], row["bytes"]) for row in rows])


def _connect(key: int) -> Any:
    options = _address_of(key)
    connection = psycopg2.connect(
        host=options["host"],
        port=options["port"],
        dbname=options["dbname"],
        user=options["user"],
        password=options["password"],
        connect_timeout=CONNECT_SECONDS,
        application_name=HOP_APPLICATION,
    )
    connection.autocommit = True
    return connection


def _address_of(key: int) -> dict[str, str]:
    """Address and login of a segment, from the foreign servers of the one where this runs."""
    import plpy

    (row,) = plpy.execute(
        "SELECT s.srvoptions || m.umoptions AS options FROM pg_foreign_server s "
        f"JOIN pg_user_mappings m ON m.srvid = s.oid WHERE s.srvname = '{server_name(key)}'"
    )
    return dict(option.split("=", 1) for option in row["options"])


def _joined(
    model: int, version: int, rows: Sequence[tuple[int, int, bytes | memoryview]]
) -> bytes | memoryview:
    if not rows or [row[0] for row in rows] != list(range(rows[0][1])):
        raise StateMissing(f"version {version} of model {model} is not whole in {len(rows)} rows")
    return rows[0][2] if len(rows) == 1 else b"".join(row[2] for row in rows)
