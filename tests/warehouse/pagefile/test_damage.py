"""Damaged files give an error that names file, block and reason, or the right rows."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.errors import DataError, EnvironmentFault
from experiments.warehouse.pagefile import open_table, table
from experiments.warehouse.pagefile.catalog import read_catalog
from experiments.warehouse.pagefile.compression import lz4, pglz
from tests.warehouse.pagefile.conftest import Server
from tests.warehouse.pagefile.judge import Row, read_from_pages, said_by_server
from tests.warehouse.pagefile.test_rows import HELPER

PAGE = 8192


@dataclass(frozen=True)
class Victim:
    """A table whose files may be damaged, and are mended after each test."""

    session: Any
    heap: Path
    toast: Path
    rows: list[Row]

    def read(self) -> list[Row]:
        with open_table(self.session, "victim") as opened:
            return read_from_pages(opened)


@pytest.fixture(scope="module")
def made(server: Server) -> Iterator[Victim]:
    session = server.connect()
    with session.cursor() as cursor:
        cursor.execute(HELPER)
        cursor.execute(
            "CREATE TABLE victim (i int4, short text, x bytea, z bytea, zz bytea);"
            "ALTER TABLE victim ALTER x SET STORAGE EXTERNAL;"
            "ALTER TABLE victim ALTER z SET COMPRESSION pglz;"
            "ALTER TABLE victim ALTER zz SET COMPRESSION lz4;"
            "INSERT INTO victim SELECT i, 'row ' || i, repeat_bytes(3 * i, 6000), "
            "repeat_bytes(i, 9000), repeat_bytes(i, 9000) FROM generate_series(1, 300) i"
        )
        cursor.execute("VACUUM FREEZE victim")
        catalog = read_catalog(session, "victim")
    assert catalog.toast is not None
    rows = said_by_server(session, "victim")
    yield Victim(session, catalog.heap, catalog.toast, rows)
    session.close()


@pytest.fixture
def victim(made: Victim) -> Iterator[Victim]:
    with made.session.cursor() as cursor:
        cursor.execute("CHECKPOINT")
    before = [(path, path.read_bytes()) for path in (made.heap, made.toast)]
    yield made
    for path, data in before:
        path.write_bytes(data)


def flip(path: Path, at: int, bits: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ bits]))


def test_an_undamaged_table_reads_well(victim: Victim) -> None:
    assert victim.read() == victim.rows


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_flipped_bits(victim: Victim, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([victim.heap, victim.toast]))
    at = data.draw(st.integers(0, path.stat().st_size - 1))
    bits = data.draw(st.integers(1, 255))
    flip(path, at, bits)
    try:
        with pytest.raises(DataError) as raised:
            victim.read()
    finally:
        flip(path, at, bits)
    assert re.match(rf"{path}: block {at // PAGE}: \S", str(raised.value))
    assert victim.read() == victim.rows


def zeroed(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(PAGE)
        file.write(bytes(PAGE))


def cut_within(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def cut_between(path: Path) -> None:
    os.truncate(path, path.stat().st_size - PAGE)


def other_version(path: Path) -> None:
    flip(path, PAGE + 18, 3)


def removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [zeroed, cut_within, other_version])
@pytest.mark.parametrize("which", ["heap", "toast"])
def test_broken_pages(victim: Victim, damage: Callable[[Path], None], which: str) -> None:
    path = getattr(victim, which)
    damage(path)
    with pytest.raises(DataError, match=f"^{path}: .*block") as raised:
        victim.read()
    assert "\n" not in str(raised.value)


def test_a_cut_off_toast_page_is_missed(victim: Victim) -> None:
    cut_between(victim.toast)
    with pytest.raises(DataError, match=f"^{victim.toast}: no block holds chunk"):
        victim.read()


def test_a_file_cut_short_under_the_reader(victim: Victim) -> None:
    with open_table(victim.session, "victim") as opened:
        os.truncate(victim.toast, 3 * PAGE)
        with pytest.raises(DataError, match=f"^{victim.toast}: block 3: cut short"):
            read_from_pages(opened)


def test_a_missing_file(victim: Victim) -> None:
    with open_table(victim.session, "victim") as opened:
        catalog = opened.catalog
    data = victim.toast.read_bytes()
    removed(victim.toast)
    with pytest.raises(DataError, match=f"^{catalog.toast}: no such file"):
        victim.read()
    victim.toast.write_bytes(data)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), size=st.integers(0, 300), decoder=st.sampled_from([pglz, lz4]))
def test_decompression_stays_in_bounds(
    data: bytes, size: int, decoder: Callable[..., bool]
) -> None:
    source = np.frombuffer(b"\xaa" * 40 + data + b"\xaa" * 40, np.uint8)
    out = np.full(size + 80, 0x55, np.uint8)
    decoder(source, 40, 40 + len(data), out, 40, 40 + size)
    assert (out[:40] == 0x55).all()
    assert (out[40 + size :] == 0x55).all()


@pytest.mark.parametrize(
    ("setup", "name", "reason"),
    [
        ("SELECT", "missing", 'relation "missing" does not exist'),
        ("CREATE UNLOGGED TABLE u (i int)", "u", "unlogged"),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", "v", "no heap table"),
    ],
)
def test_tables_without_page_files(connection: Any, setup: str, name: str, reason: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(setup)
        with pytest.raises(DataError, match=reason):
            open_table(connection, name)
        cursor.execute("SELECT 1")  # the connection is as it was


def test_columns_that_cannot_be_read(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS odd; CREATE TABLE odd (i int, u uuid)")
    with open_table(connection, "odd") as opened:
        assert [column.name for column in opened.columns] == ["i"]
        with pytest.raises(DataError, match="type uuid"):
            opened.scan(["u"])
        with pytest.raises(DataError, match="no column 'nothing'"):
            opened.scan(["nothing"])


def test_an_open_transaction_is_refused(server: Server) -> None:
    session = server.connect()
    session.autocommit = False
    with session.cursor() as cursor:
        cursor.execute("SELECT 1")
    with pytest.raises(DataError, match="transaction open"):
        table.open_table(session, "victim")
    session.close()


def test_a_user_who_may_not(connection: Any, server: Server) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "DROP TABLE IF EXISTS theirs; DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN;"
            "CREATE TABLE theirs (i int); GRANT SELECT ON theirs TO guest"
        )
    with pytest.raises(EnvironmentFault, match="refuses this user"):
        open_table(server.dsn.replace("tester", "guest"), "theirs")
