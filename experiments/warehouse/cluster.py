"""A client's view of the parallel database: its coordinator, its segments, their schema."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg2
import psycopg2.extensions

from experiments.errors import EnvironmentFault, ServerDied
from experiments.warehouse.dialect import (
    SEGMENTS_TABLE,
    Dialect,
    PostgresDialect,
    Segment,
    quote,
)
from experiments.warehouse.server import DATABASE, SUPERUSER

Connection = Any
"""psycopg2's connection; the package has no types."""

START_SECONDS = 30.0
T = TypeVar("T")


@dataclass(frozen=True)
class Cluster:
    """Where the servers are and how to speak to them. Holds no connection itself.

    Attributes
    ----------
    coordinator : address and port.
    segments : in order of their keys, 0 to N-1.
    """

    coordinator: tuple[str, int]
    segments: tuple[Segment, ...]
    password: str = field(repr=False)
    dialect: Dialect = field(default_factory=PostgresDialect)

    def connect(
        self, segment: Segment | None = None, *, patience: float = START_SECONDS
    ) -> Connection:
        """A new autocommit session with the coordinator, or with one segment.

        Parameters
        ----------
        patience : seconds that a server gets to come up.

        Raises
        ------
        ServerDied
            No server answers in that time.
        EnvironmentFault
            It refuses the user or the password.
        """
        address, port = self.coordinator if segment is None else (segment.address, segment.port)
        deadline = time.monotonic() + patience
        while True:
            try:
                connection = psycopg2.connect(
                    host=address,
                    port=port,
                    user=SUPERUSER,
                    password=self.password,
                    dbname=DATABASE,
                    connect_timeout=10,
                )
            except psycopg2.OperationalError as error:
                reason = " ".join(str(error).split())
                name = "coordinator" if segment is None else f"segment {segment.key}"
                if any(words in reason for words in _REFUSED):
                    raise EnvironmentFault(
                        f"the database of the {name} at {address}:{port} refuses us: {reason}"
                    ) from None
                if time.monotonic() > deadline:
                    raise ServerDied(
                        f"the database of the {name} at {address}:{port} does not answer: {reason}"
                    ) from None
                time.sleep(0.05)
            else:
                connection.autocommit = True
                return connection

    @contextlib.contextmanager
    def session(self, segment: Segment | None = None) -> Iterator[Connection]:
        """A session that is closed at the end of the block."""
        connection = self.connect(segment)
        try:
            yield connection
        finally:
            connection.close()

    def on_segments(self, action: Callable[[Segment], T]) -> list[T]:
        """Run ``action`` for all segments at once; results in the order of the segments."""
        with ThreadPoolExecutor(len(self.segments), "segment") as pool:
            return list(pool.map(action, self.segments))

    def setup(self) -> None:
        """Install the extension everywhere and make the coordinator know its segments.

        Idempotent: a coordinator that has its schema only learns the segments' addresses, which
        may differ after a restart; a half-made one is redone.
        """
        with self.session() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", (SEGMENTS_TABLE,))
            if cursor.fetchone()[0] is not None:
                cursor.execute(self.dialect.coordinator_refresh(self.segments))
                self.on_segments(self._refresh_segment)
                return
        self.on_segments(self._setup_segment)
        with self.session() as connection:
            connection.autocommit = False
            with connection, connection.cursor() as cursor:
                # A failing statement is logged with its text, and this one holds a password.
                cursor.execute("SET LOCAL log_min_error_statement = panic")
                cursor.execute(_EXTENSION)
                cursor.execute(
                    self.dialect.coordinator_setup(self.segments, SUPERUSER, self.password)
                )

    def _refresh_segment(self, segment: Segment) -> None:
        with self.session(segment) as connection, connection.cursor() as cursor:
            cursor.execute(self.dialect.segment_refresh(self.segments))

    def _setup_segment(self, segment: Segment) -> None:
        with self.session(segment) as connection:
            connection.autocommit = False
            with connection, connection.cursor() as cursor:
                cursor.execute("SET LOCAL log_min_error_statement = panic")  # as in setup()
                cursor.execute(_EXTENSION)
                cursor.execute(self.dialect.segment_setup(self.segments, SUPERUSER, self.password))
                cursor.execute(
                    f"DROP TABLE IF EXISTS {SEGMENTS_TABLE};"
                    f"CREATE TABLE {SEGMENTS_TABLE} (__dist_key__ integer NOT NULL "
                    f"CHECK (__dist_key__ = {segment.key}));"
                    f"INSERT INTO {SEGMENTS_TABLE} VALUES ({segment.key})"
                )

    def end_sessions(self, application: str, seconds: float) -> None:
        """End every session that goes by a name, on all servers, and wait until they are gone.

        Whoever asked for their work may be dead, and a session notices that late. A server that is
        being started again is waited for.

        Raises
        ------
        EnvironmentFault
            A server does not answer within ``seconds``, or a session does not end in time.
        """

        def end(segment: Segment | None) -> None:
            connection = self.connect(segment, patience=seconds)
            with contextlib.closing(connection), connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pid FROM pg_stat_activity WHERE CASE WHEN application_name = %s "
                    "THEN NOT pg_terminate_backend(pid, %s) END",
                    (application, int(seconds * 1000)),
                )
                if left := cursor.fetchall():
                    name = "coordinator" if segment is None else f"segment {segment.key}"
                    raise EnvironmentFault(f"sessions {left} of the {name} do not end")

        end(None)
        self.on_segments(end)

    def shard(self, table: str, columns: Mapping[str, str], comment: str = "") -> None:
        """Make ``table``, which exists on every segment, one table on the coordinator."""
        with self.session() as connection:
            connection.autocommit = False
            with connection, connection.cursor() as cursor:
                cursor.execute(f"DROP TABLE IF EXISTS {table}")
                cursor.execute(self.dialect.shard(table, columns, self.segments))
                cursor.execute(f"COMMENT ON TABLE {table} IS {quote(comment)}")

    def tables(self) -> Mapping[str, Sequence[str]]:
        """The sharded tables that are complete: the names of their columns, in order."""
        with self.session() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname, array_agg(attname::text ORDER BY attnum) FROM pg_class "
                "JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped "
                "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('p', 'r') "
                "GROUP BY 1 ORDER BY 1"
            )
            return dict(cursor.fetchall())


_REFUSED = ("authentication failed", "pg_hba.conf")
"""What a server says to those whom it will never let in; any other refusal may pass."""

_EXTENSION = "CREATE EXTENSION IF NOT EXISTS cerebro_ds CASCADE"
