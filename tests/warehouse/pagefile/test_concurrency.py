"""Reading while others write: always the rows of the snapshot."""

from __future__ import annotations

import threading
from typing import Any

import psycopg2
import pytest

from experiments.errors import DataError, ServerDied
from experiments.warehouse.pagefile import open_table
from experiments.warehouse.pagefile.guard import Guard
from tests.warehouse.pagefile.conftest import Server
from tests.warehouse.pagefile.judge import read_from_pages, said_by_server
from tests.warehouse.pagefile.test_rows import HELPER


@pytest.fixture(autouse=True)
def busy(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(HELPER)
        cursor.execute(
            "DROP TABLE IF EXISTS busy; CREATE TABLE busy (i int4, n int4, x bytea);"
            "INSERT INTO busy SELECT i, 0, repeat_bytes(i, 5000) FROM generate_series(1, 400) i"
        )


def run(session: Any, *statements: str) -> None:
    with session.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_what_runs_is_not_seen_and_what_has_ended_is(connection: Any, other: Any) -> None:
    run(other, "BEGIN", "DELETE FROM busy WHERE i < 20", "INSERT INTO busy VALUES (0, 0, NULL)")
    with open_table(connection, "busy") as opened:
        assert len(read_from_pages(opened)) == 400
    run(other, "COMMIT")
    with open_table(connection, "busy") as opened:
        assert len(read_from_pages(opened)) == 382


def test_subtransactions_of_what_runs_are_not_seen(connection: Any, other: Any) -> None:
    """Committed between snapshot and checkpoint, which is when their log says so."""
    statements = [f"SAVEPOINT s{i}; UPDATE busy SET n = 1 WHERE i = {i}" for i in range(1, 90)]
    run(other, "BEGIN", *statements)
    guard = Guard.renew

    def commit_first(self: Guard) -> None:
        if other.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
            run(other, "COMMIT")
        guard(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Guard, "renew", commit_first)
        with open_table(connection, "busy") as opened:
            said = said_by_server(connection, "busy")
            assert read_from_pages(opened) == said
    assert all(row[1] == b"\0\0\0\0" for row in said)


def test_prepared_transactions_run(connection: Any, other: Any) -> None:
    run(other, "BEGIN", "DELETE FROM busy", "PREPARE TRANSACTION 'p'")
    with open_table(connection, "busy") as opened:
        assert len(read_from_pages(opened)) == 400
    run(other, "ROLLBACK PREPARED 'p'")


def test_multixacts_that_update(connection: Any, other: Any, server: Server) -> None:
    third = server.connect()
    run(other, "BEGIN", "SELECT FROM busy WHERE i < 50 FOR KEY SHARE")
    run(third, "BEGIN", "UPDATE busy SET n = 3 WHERE i < 30")
    with open_table(connection, "busy") as opened:
        assert read_from_pages(opened) == said_by_server(connection, "busy")
    run(third, "COMMIT")
    run(other, "COMMIT")
    third.close()
    with open_table(connection, "busy") as opened:
        said = said_by_server(connection, "busy")
        assert read_from_pages(opened) == said
    assert sum(row[1] == b"\0\0\0\3" for row in said) == 29


@pytest.mark.parametrize("statement", ["VACUUM FULL busy", "TRUNCATE busy", "DROP TABLE busy"])
def test_nobody_takes_the_files_away(connection: Any, other: Any, statement: str) -> None:
    with open_table(connection, "busy") as opened:
        batches = opened.scan(batch_bytes=1)
        next(batches)
        run(other, "SET lock_timeout = '50ms'")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            run(other, statement)
        assert sum(batch.rows for batch in batches) == 399
    run(other, statement)


def test_toast_is_locked_too(connection: Any, other: Any) -> None:
    with open_table(connection, "busy"):
        run(other, "SET lock_timeout = '50ms'")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            run(other, _vacuum_toast(other))


def _vacuum_toast(session: Any) -> str:
    with session.cursor() as cursor:
        cursor.execute("SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'busy'")
        return f"VACUUM FULL {cursor.fetchone()[0]}"


def test_a_writer_beside_the_reader(connection: Any, other: Any) -> None:
    """Updates, deletes, vacuums and checkpoints, while the same snapshot is read many times."""
    stop = threading.Event()

    def write() -> None:
        step = 0
        while not stop.is_set():
            step += 1
            run(
                other,
                f"UPDATE busy SET n = {step} WHERE i % 7 = {step % 7}",
                f"UPDATE busy SET x = repeat_bytes({step}, 3000) WHERE i % 31 = {step % 31}",
                "VACUUM busy",
                "SELECT count(*) FROM busy",
            )
            stop.wait(0.05)

    writer = threading.Thread(target=write)
    writer.start()
    read = refused = 0
    try:
        for _ in range(12):
            with open_table(connection, "busy") as opened:
                said = said_by_server(connection, "busy")
                try:
                    assert sorted(read_from_pages(opened, 500_000), key=str) == sorted(
                        said, key=str
                    )
                    read += 1
                except DataError as error:
                    assert "written faster" in str(error)  # noqa: PT017
                    refused += 1
    finally:
        stop.set()
        writer.join()
    assert read


def test_a_lost_connection_is_noticed(connection: Any, other: Any) -> None:
    """Without its transaction there is no lock, so nothing that was read may count."""
    with open_table(connection, "busy") as opened:
        run(other, f"SELECT pg_terminate_backend({connection.info.backend_pid}, 1000)")
        with pytest.raises(ServerDied):
            read_from_pages(opened)
