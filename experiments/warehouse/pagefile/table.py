"""A table opened for reading: its locks, its snapshot, its files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import psycopg2

from experiments.errors import DataError, EnvironmentFault
from experiments.warehouse.failures import translated
from experiments.warehouse.pagefile.catalog import Catalog, Column, Connection, read_catalog
from experiments.warehouse.pagefile.columns import Allocate
from experiments.warehouse.pagefile.guard import Guard
from experiments.warehouse.pagefile.native import Bytes
from experiments.warehouse.pagefile.relation import RelationFile
from experiments.warehouse.pagefile.scan import Scan
from experiments.warehouse.pagefile.snapshot import horizon
from experiments.warehouse.pagefile.values import Batch

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 16 * 2**20
"""Memory that a process gets anew costs more than what is put into it; small batches come and go in
memory that it has."""


def _fresh(size: int) -> Bytes:
    return np.empty(size, np.uint8)


class Table:
    """What a snapshot sees of one table, read from its files. A context manager.

    While it is open, a transaction holds the snapshot and a lock in mode ACCESS SHARE: others read
    and write the table as they like, but nobody can truncate, rewrite or drop it.

    Attributes
    ----------
    columns : the columns that can be read, in order.
    """

    def __init__(self, catalog: Catalog, guard: Guard) -> None:
        self.catalog = catalog
        self.columns: tuple[Column, ...] = tuple(
            column for column in catalog.columns if column.readable
        )
        self._guard = guard
        self._threads = len(os.sched_getaffinity(0))
        self._stack = ExitStack()
        with ExitStack() as stack:
            size, full = catalog.shape.page_bytes, catalog.file_blocks
            self._horizon = horizon(catalog.data, size, guard.snapshot, catalog.frozen)
            self._heap = stack.enter_context(RelationFile(catalog.heap, size, full))
            self._toast = None
            if catalog.toast is not None:
                self._toast = stack.enter_context(RelationFile(catalog.toast, size, full))
            self._pool = stack.enter_context(ThreadPoolExecutor(self._threads, "pagefile"))
            self._stack = stack.pop_all()

    def scan(
        self,
        columns: Sequence[str] | None = None,
        batch_bytes: int = BATCH_BYTES,
        allocate: Allocate = _fresh,
        start: int = 0,
        stop: int | None = None,
    ) -> Iterator[Batch]:
        """The rows that the snapshot sees, in the order of the table's pages.

        Parameters
        ----------
        columns : names; None for all of :attr:`columns`.
        batch_bytes : a batch ends before its values exceed this, but has a row at least. Memory is
            about one batch (its compressed bytes besides), not the table.
        allocate : gives the uint8 memory for a column of variable length, by its size in bytes:
            shared memory, say, or again what held the last batch, which costs least.
        start, stop : the first row and the one after the last; all rows unless told. Values of
            other rows are not fetched.

        Raises
        ------
        DataError
            A column that does not exist or cannot be read; a damaged file, named with block and
            reason; a table that is written faster than it can be read.
        ServerDied
            The connection that holds the snapshot is gone.
        """
        names = [column.name for column in self.columns] if columns is None else columns
        known = {column.name: column for column in self.catalog.columns if not column.dropped}
        for name in names:
            if name not in known:
                raise DataError(f"table {self.catalog.table} has no column {name!r}")
            if not known[name].readable:
                raise DataError(
                    f"column {name!r} of table {self.catalog.table} is of type "
                    f"{known[name].kind}, which is not read from pages"
                )
        order = [column.name if not column.dropped else None for column in self.catalog.columns]
        wanted = [order.index(name) for name in names]
        return Scan(
            self.catalog,
            self._guard,
            self._horizon,
            self._heap,
            self._toast,
            self._pool,
            self._threads,
            wanted,
            allocate,
        ).batches(batch_bytes, start, stop)

    def to_arrow(
        self, columns: Sequence[str] | None = None, batch_bytes: int = BATCH_BYTES
    ) -> pa.RecordBatchReader:
        """The rows that the snapshot sees, as a stream of Arrow's record batches.

        ``read_all()`` makes a ``pyarrow.Table`` of it; read it before this table is closed.
        Numbers, text and bytes are Arrow's views of the memory that they were read into.

        Parameters
        ----------
        columns, batch_bytes : as for :meth:`scan`, but None is all columns of the table.

        Raises
        ------
        DataError
            What :meth:`scan` raises; a column that cannot be read, unless others are named; text in
            another encoding than UTF-8; an array with nulls or of several dimensions.
        """
        import pyarrow as pa

        from experiments.warehouse.pagefile import arrow

        there = {column.name: column for column in self.catalog.columns if not column.dropped}
        names = list(there) if columns is None else list(columns)
        scanned = self.scan(names, batch_bytes)
        wanted = [there[name] for name in names]
        name = self.catalog.table
        form = arrow.schema(name, wanted, self.catalog.encoding)
        return pa.RecordBatchReader.from_batches(form, arrow.batches(name, form, wanted, scanned))

    @property
    def file_bytes(self) -> int:
        """Bytes of the table's files, those of its TOAST relation included."""
        files = (self._heap, self._toast)
        return sum(file.blocks * file.page_bytes for file in files if file is not None)

    def close(self) -> None:
        """Close the files and end the transaction, and with it snapshot and lock."""
        self._stack.close()

    def on_close(self, stack: ExitStack) -> None:
        """Leave ``stack`` when this table is closed."""
        self._stack.push(stack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_table(server: str | Connection, table: str) -> Table:
    """Open a table of a server on this machine, through its files.

    Parameters
    ----------
    server : libpq's connection string, or a psycopg2 connection with no transaction open, which
        belongs to the table until that is closed.
    table : name as in SQL, with its schema where the search path does not find it.

    Raises
    ------
    DataError
        No such table, or none that can be read from pages; a file that is cut short.
    EnvironmentFault
        The server's files are not on this machine, or this user may not read them, or may not ask
        the server for a checkpoint and its settings.
    """
    with ExitStack() as stack:
        if isinstance(server, str):
            with translated("the server of the page files"):
                connection = psycopg2.connect(server)
            stack.callback(connection.close)
        else:
            connection = server
        _begin(stack, connection, table)
        try:
            catalog = read_catalog(connection, table)
            guard = Guard(connection, f"the server of table {table}")
        except psycopg2.errors.InsufficientPrivilege as error:
            raise EnvironmentFault(
                f"table {table}: its server refuses this user what reading page files needs: "
                f"{error.diag.message_primary}"
            ) from None
        opened = Table(catalog, guard)
        opened.on_close(stack.pop_all())
        return opened


def _begin(stack: ExitStack, connection: Connection, table: str) -> None:
    """Begin a transaction that locks the table first and takes its snapshot afterwards."""
    if connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
        raise DataError(f"table {table}: the connection to read it has a transaction open")
    before = connection.autocommit
    connection.autocommit = True
    stack.callback(_end, connection, before)
    with translated(f"the server of table {table}"), connection.cursor() as cursor:
        try:
            cursor.execute("SELECT %s::regclass::text", (table,))
        except psycopg2.ProgrammingError as error:
            raise DataError(f"table {table}: {error.diag.message_primary}") from None
        (name,) = cursor.fetchone()
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute(f"LOCK TABLE ONLY {name} IN ACCESS SHARE MODE")


def _end(connection: Connection, autocommit: bool) -> None:
    """End what :func:`_begin` began; a connection that is gone has ended it already."""
    with contextlib.suppress(psycopg2.OperationalError, psycopg2.InterfaceError):
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK")
        connection.autocommit = autocommit
