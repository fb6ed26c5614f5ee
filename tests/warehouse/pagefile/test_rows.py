"""Any table, built in any way: the reader's rows are the server's, value for value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.warehouse.pagefile import open_table
from experiments.warehouse.pagefile import scan as scan_module
from experiments.warehouse.pagefile.code import load_code
from experiments.warehouse.pagefile.compression import expand
from experiments.warehouse.pagefile.native import fill
from experiments.warehouse.pagefile.pages import tuples_of_pages
from experiments.warehouse.pagefile.toast import read_and_place
from experiments.warehouse.pagefile.tuples import deform, gather
from tests.warehouse.pagefile.conftest import Server
from tests.warehouse.pagefile.judge import read_from_pages, said_by_server

# fmt: off
SIZES = [
    0, 1, 2, 120, 124, 125, 126, 127, 128, 1990, 1996, 1997, 2000, 2010, 2030, 2040, 3992, 3993,
    8100, 8192, 70_001,
]
# fmt: on
STORAGES = ["STORAGE PLAIN", "STORAGE MAIN", "STORAGE EXTERNAL", "STORAGE EXTENDED"]

_FIXED = {
    "bool": "i % 3 = 0",
    "int2": "(i * 37 % 30000)::int2",
    "int4": "i * 70001",
    "int8": "i * 7000000001::int8",
    "float4": "(i / 7.0)::float4",
    "float8": "i / 7.0::float8",
    "int4[]": "array[i, -1, {size}]",
    "int2[]": "array[[i % 100, 1], [2, 3]]::int2[]",
    "float4[]": "array[i / 3.0, 0]::float4[]",
    "int8[]": "'{{}}'::int8[]",
    "uuid": "md5(i::text)::uuid",
}
_VARIABLE = {
    "bytea": "substr(repeat_bytes(i, {size}), 1, {size})",
    "text": "left(repeat('text ' || i || ' ', {size} / 5 + 1), {size})",
}


@dataclass(frozen=True)
class Made:
    """A column: its type, how often it is null, its storage and the size of its values."""

    kind: str
    nulls: int
    size: int
    storage: str
    compression: str

    def expression(self) -> str:
        body = {**_FIXED, **_VARIABLE}[self.kind].format(size=self.size)
        if not self.nulls:
            return body
        return f"CASE WHEN i % {self.nulls} = 0 THEN NULL ELSE {body} END"

    def settings(self, name: str) -> str:
        if self.kind not in _VARIABLE:
            return ""
        storage = self.storage
        if self.size > 1000 and storage == "STORAGE PLAIN":
            storage = "STORAGE MAIN"
        alter = f"ALTER TABLE t ALTER {name} SET"
        return f"{alter} {storage}; {alter} COMPRESSION {self.compression}"


columns = st.builds(
    Made,
    kind=st.sampled_from([*_FIXED, *_VARIABLE, *_VARIABLE, *_VARIABLE]),
    nulls=st.sampled_from([0, 0, 1, 2, 5]),
    size=st.sampled_from(SIZES),
    storage=st.sampled_from(STORAGES),
    compression=st.sampled_from(["pglz", "lz4"]),
)

STEPS = {
    "update": "UPDATE t SET n = n + 1 WHERE i % 3 = 1",
    "update all": "UPDATE t SET n = -n",
    "delete": "DELETE FROM t WHERE i % 4 = 2",
    "aborted insert": "BEGIN; INSERT INTO t SELECT * FROM t; ROLLBACK",
    "aborted update": "BEGIN; UPDATE t SET n = 0; ROLLBACK",
    "aborted delete": "BEGIN; DELETE FROM t; ROLLBACK",
    "part aborted": "BEGIN; UPDATE t SET n = 7 WHERE i = 3; SAVEPOINT s; DELETE FROM t; "
    "ROLLBACK TO s; SAVEPOINT r; UPDATE t SET n = 8 WHERE i = 5; RELEASE r; COMMIT",
    "locks": "BEGIN; SELECT i FROM t WHERE i % 2 = 0 FOR UPDATE; COMMIT",
    "shared lock, then update": "BEGIN; SELECT i FROM t FOR KEY SHARE; SAVEPOINT s; "
    "UPDATE t SET n = 5 WHERE i % 2 = 1; COMMIT",
    "vacuum": "VACUUM t",
    "freeze": "VACUUM FREEZE t",
    "full": "VACUUM FULL t",
    "add": "ALTER TABLE t ADD COLUMN {name} int4 DEFAULT 42",
    "add text": "ALTER TABLE t ADD COLUMN {name} text DEFAULT 'it''s, \"so\" \\'",
    "add array": "ALTER TABLE t ADD COLUMN {name} float8[] DEFAULT '{{0.1,2}}'",
    "add null": "ALTER TABLE t ADD COLUMN {name} bytea",
    "add bytea": "ALTER TABLE t ADD COLUMN {name} bytea DEFAULT '\\x00ff27'",
    "drop": "ALTER TABLE t DROP COLUMN IF EXISTS c1",
    "more": "INSERT INTO t (i, n) SELECT g, g FROM generate_series(1000, 1009) g",
}

HELPER = """
CREATE OR REPLACE FUNCTION repeat_bytes(i int, size int) RETURNS bytea IMMUTABLE LANGUAGE sql AS $$
  SELECT CASE WHEN i % 3 = 0 THEN
    (SELECT coalesce(string_agg(sha256((i * 1000 + g)::text::bytea), ''), '')
     FROM generate_series(0, size / 32) g)
  ELSE decode(repeat(md5((i % 7)::text) || repeat('00', i % 40), size / (16 + i % 40) + 1), 'hex')
  END $$
"""


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    made=st.lists(columns, min_size=1, max_size=5),
    rows=st.sampled_from([0, 1, 7, 60]),
    steps=st.lists(st.sampled_from(list(STEPS)), max_size=5),
    batch_bytes=st.sampled_from([1, 5000, 2**26]),
)
def test_rows_are_the_servers(
    server: Server, made: list[Made], rows: int, steps: list[str], batch_bytes: int
) -> None:
    session = server.connect()
    try:
        build(session, made, rows, steps)
        compare(session, batch_bytes)
    finally:
        session.close()


def build(session: Any, made: list[Made], rows: int, steps: list[str]) -> None:
    with session.cursor() as cursor:
        cursor.execute(HELPER)
        body = "".join(f", c{index} {each.kind}" for index, each in enumerate(made))
        cursor.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t (i int4, n int8{body})")
        for index, each in enumerate(made):
            if text := each.settings(f"c{index}"):
                cursor.execute(text)
        values = "".join(f", {each.expression()}" for each in made)
        cursor.execute(f"INSERT INTO t SELECT i, i{values} FROM generate_series(1, {rows}) i")
        for index, step in enumerate(steps):
            for statement in STEPS[step].format(name=f"added{index}").split("; "):
                cursor.execute(statement)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.sampled_from([0, 7, 400]),
    start=st.integers(0, 500),
    stop=st.none() | st.integers(0, 500),
    batch_bytes=st.sampled_from([1, 70_000, 2**26]),
)
def test_some_of_the_rows(
    server: Server, rows: int, start: int, stop: int | None, batch_bytes: int
) -> None:
    """Over several stretches of pages, of which the wanted rows may leave out any."""
    session = server.connect()
    try:
        build(session, [Made("bytea", 0, 2000, "STORAGE EXTERNAL", "lz4")], rows, ["delete"])
        with pytest.MonkeyPatch.context() as patch, open_table(session, "t") as opened:
            patch.setattr(scan_module, "STRETCH", 1)
            said = said_by_server(session, "t")[start:stop]
            assert read_from_pages(opened, batch_bytes, start=start, stop=stop) == said
    finally:
        session.close()


def test_loaded_code_is_what_a_scan_calls(connection: Any) -> None:
    """For other types of arguments, numba would compile once more in the middle of a scan."""
    load_code()
    made = [Made("bytea", 5, size, "STORAGE EXTENDED", "lz4") for size in (0, 100, 9000)]
    build(connection, [*made, Made("int4[]", 2, 0, "", "")], 60, ["update", "add text"])
    compare(connection)
    called: tuple[Any, ...] = (fill, tuples_of_pages, deform, gather, read_and_place, expand)
    assert [len(function.signatures) for function in called] == [1] * len(called)


def compare(session: Any, batch_bytes: int = 2**26, table: str = "t") -> None:
    with open_table(session, table) as opened:
        names = ", ".join(column.name for column in opened.columns)
        said = said_by_server(session, table, names)
        assert read_from_pages(opened, batch_bytes) == said
