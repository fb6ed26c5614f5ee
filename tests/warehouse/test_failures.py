"""What database errors mean, on the servers' own errors."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from pathlib import Path

import psycopg2
import pytest

from experiments.errors import DataError, EnvironmentFault, ServerDied
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.failures import translated
from experiments.warehouse.targeted import TargetedQueries
from tests.warehouse.test_backend import job

LINEAR = {**job()["model"], "architecture": "linear"}


def query(cluster: Cluster, statement: str) -> None:
    with cluster.session() as session, session.cursor() as cursor, translated("segment 1"):
        cursor.execute(statement)


def test_a_lost_session_is_a_dead_server(cluster: Cluster) -> None:
    with pytest.raises(ServerDied, match="segment 1: "):
        query(cluster, "SELECT pg_terminate_backend(pg_backend_pid())")


def test_a_closed_session_is_a_dead_server(cluster: Cluster) -> None:
    session = cluster.connect()
    session.close()
    with pytest.raises(ServerDied, match="already closed"), translated("segment 1"):
        session.cursor()


@pytest.mark.parametrize("state", ["08006", "57P01", "57P02", "57P03", "58030"])
def test_crash_states_are_a_dead_server(cluster: Cluster, state: str) -> None:
    with pytest.raises(ServerDied, match="boom"):
        query(cluster, f"DO $$ BEGIN RAISE 'boom' USING ERRCODE = '{state}'; END $$")


@pytest.mark.parametrize("state", ["57014", "22012", "53200", "P0001"])
def test_failures_of_the_work_stay_as_they_are(cluster: Cluster, state: str) -> None:
    with pytest.raises(psycopg2.Error, match="boom"):
        query(cluster, f"DO $$ BEGIN RAISE 'boom' USING ERRCODE = '{state}'; END $$")


def test_a_full_disk_is_the_users_to_mend(cluster: Cluster) -> None:
    message = r"segment 1 has no disk space left \(cannot extend file"
    with pytest.raises(EnvironmentFault, match=message):
        query(cluster, "DO $$ BEGIN RAISE 'cannot extend file' USING ERRCODE = '53100'; END $$")


def test_our_own_errors_come_back_as_what_they_were(queries: TargetedQueries, store: Path) -> None:
    missing = store / "missing"
    with pytest.raises(DataError, match=rf"^{re.escape(str(missing))}: cannot be read \(No such"):
        queries.unit(0, "train", {"model": LINEAR, "seed": 1}, str(missing), str(store / "b"))
    missing.write_bytes(b"CDSM")
    with pytest.raises(DataError, match="too few for a header"):
        queries.unit(0, "train", {"model": LINEAR, "seed": 1}, str(missing), str(store / "b"))


def test_the_next_query_after_a_lost_session_opens_another(
    cluster: Cluster, queries: TargetedQueries
) -> None:
    work = {"model": LINEAR}
    queries.warm(0, work)
    with cluster.session() as session, session.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    with contextlib.suppress(ServerDied):
        queries.warm(0, work)
    assert queries.warm(0, work)["counters"]["builds"] == 1


def test_a_server_that_is_not_there_is_named(cluster: Cluster) -> None:
    nowhere = Cluster(("127.0.0.1", 1), (), "secret")
    with pytest.raises(ServerDied, match=r"coordinator at 127\.0\.0\.1:1 does not answer"):
        nowhere.connect(patience=0.1)
    wrong = Cluster(cluster.coordinator, (), "wrong")
    with pytest.raises(EnvironmentFault, match=r"refuses us: .*password authentication failed"):
        wrong.connect()


def test_a_backend_ends_soon_after_its_client(cluster: Cluster) -> None:
    """Else a unit that is run again would compete with its first start."""
    segment = cluster.segments[0]
    session = cluster.connect(segment)

    def sleep() -> None:
        with contextlib.suppress(psycopg2.Error), session.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")

    thread = threading.Thread(target=sleep)
    thread.start()
    time.sleep(0.2)
    with socket.socket(fileno=os.dup(session.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
    with cluster.session(segment) as other, other.cursor() as cursor:
        deadline = time.monotonic() + 10
        while True:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
            )
            if cursor.fetchone()[0] == 0:
                break
            assert time.monotonic() < deadline
            time.sleep(0.1)
    thread.join(5)
